"""Packed datasets, as `cspdarknet data pack` writes them: shards of images, and a manifest."""

from typing import Any

from cspdarknet._labels import MULTI
from cspdarknet.data.annotations import Annotations, as_multi_label
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.format import NAMED, PACKED, Format, Match
from cspdarknet.data.formats.number_table import LOOKED_AT, are_numbers
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
        ValueError: if the packing was interrupted, the manifest, a shard or an index is missing or
            damaged, or the images have any number of classes.
    """
    annotations, labels = _read(files)
    if labels == MULTI:
        raise ValueError(
            f"{files.path(files.file or MANIFEST).parent} has images of any number of classes: "
            "choose `--labels multi` (labels='multi')."
        )
    return annotations


def read_multi_label(files: DatasetFiles) -> Annotations[Any]:
    """Read images with all of their classes; otherwise as `read`."""
    annotations, labels = _read(files)
    return annotations if labels == MULTI else as_multi_label(annotations)


def _read(files: DatasetFiles) -> tuple[Annotations[Any], str]:
    """Return the annotations, and the kind of labels."""
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
    if manifest.task == "regression":
        first = [image for images in splits.values() for image in images[:LOOKED_AT]]
        names = tuple(c for c in manifest.class_names if are_numbers(i.values[c] for i in first))
    return Annotations(splits, names, used=frozenset(used)), manifest.labels


PACKED_CLASSES, PACKED_BOXES, PACKED_NUMBERS = (
    Format(
        f"packed {noun}",
        task,
        f"a folder with {MANIFEST} and shards, as `cspdarknet data pack` writes it",
        lambda files, task=task: _match(files, task),  # type: ignore[misc]
        read,
        read_multi_label if task == "classification" else None,
    )
    for noun, task in (
        ("classes", "classification"),
        ("boxes", "detection"),
        ("numbers", "regression"),
    )
)
