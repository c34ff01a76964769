"""Packed datasets, as `cspdarknet data pack` writes them: shards of images, and a manifest."""

from typing import Any

from cspdarknet.data.annotations import Annotations
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.format import NAMED, PACKED, Format, Match
from cspdarknet.data.packs import MANIFEST, read_manifest, read_shard
from cspdarknet.data.packs.manifest import is_manifest
from cspdarknet.data.problems import count_of

SHOWN = 20  # characters of the format of the shards


def _match(files: DatasetFiles, task: str) -> Match | None:
    name = files.file or MANIFEST
    if not name.endswith(MANIFEST) or not files.path(name).is_file():
        return None
    try:
        content = files.json(name)
    except ValueError:
        return None
    if not is_manifest(content) or content.get("task") != task:
        return None
    shards = content.get("shards")
    count = len(shards) if isinstance(shards, list) else 0
    reason = f"{MANIFEST} lists {count_of(count, 'shard')} of {str(content.get('to'))[:SHOWN]}"
    return Match(PACKED if files.file is None else NAMED, reason)


def read(files: DatasetFiles) -> Annotations[Any]:
    """Read the annotations of all shards that the manifest names.

    Raises:
        ValueError: if the packing was interrupted, or the manifest, a shard or an index is missing
            or damaged.
    """
    path = files.path(files.file or MANIFEST)
    folder, manifest = path.parent, read_manifest(path)
    if not manifest.finished:
        raise ValueError(
            f"{folder} is not complete, since its packing was interrupted: run the same "
            "`cspdarknet data pack` again."
        )
    splits: dict[str, list[Any]] = {}
    used = {path}
    for entry in manifest.shards:
        splits.setdefault(entry.split, []).extend(read_shard(folder, manifest, entry))
        used |= {folder / entry.index_file, folder / manifest.shard_file(entry)}
    names = manifest.class_names if manifest.declared else None
    return Annotations(splits, names, used=frozenset(used))


PACKED_CLASSES, PACKED_BOXES = (
    Format(
        f"packed {noun}",
        task,
        f"a folder with {MANIFEST} and shards, as `cspdarknet data pack` writes it",
        lambda files, task=task: _match(files, task),  # type: ignore[misc]
        read,
    )
    for noun, task in (("classes", "classification"), ("boxes", "detection"))
)
