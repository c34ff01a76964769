"""Packing of a dataset into shards: large files from which training reads images at random."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cspdarknet._arguments import check_choice, check_count
from cspdarknet._files import OutputFolder
from cspdarknet._labels import SINGLE
from cspdarknet._unfinished import claim, remove_leftovers
from cspdarknet.data.packs import MANIFEST, Manifest, read_manifest
from cspdarknet.data.packs.manifest import SUFFIXES
from cspdarknet.data.problems import Problem
from cspdarknet.data.writers.images import ImageFiles
from cspdarknet.data.writers.load import LoadedDataset, load_dataset
from cspdarknet.data.writers.shards import (
    ShardPlan,
    ShardWriter,
    check_library,
    file_digest,
    plan_shards,
)

MEGABYTE = 1_000_000
LOCK = ".lock"
# Called with a label and a number of images, it returns the function that is called with a number
# of finished ones.
Progress = Callable[[str, int], Callable[[int], object]]


@dataclass(frozen=True)
class PackedDataset:
    """A dataset that was packed.

    Attributes:
        path: its folder.
        to: the format of its shards.
        task: `"classification"`, `"detection"` or `"regression"`.
        class_names: names of the classes, in the order of the class ids; of numbers, those of the
            columns.
        images: number of images of each split.
        shards: number of shards.
        bytes: size of all shards.
        kept: number of shards that an interrupted packing had written before.
        problems: what was wrong in the source.
    """

    path: Path
    to: str
    task: str
    class_names: tuple[str, ...]
    images: dict[str, int]
    shards: int
    bytes: int
    kept: int
    problems: tuple[Problem, ...]


def pack_dataset(
    source: Any,
    destination: str | Path,
    to: str = "array-record",
    shard_size: int = 256,
    task: str | None = None,
    format: str | None = None,
    on_problem: str = "raise",
    progress: Progress | None = None,
    labels: str = SINGLE,
) -> PackedDataset:
    """Pack a dataset into shards, which `read_dataset` and what builds on it read like a folder.

    The image files are stored byte for byte, with annotations, classes, splits and file names in
    their order: a training on the shards is the same as one on the source. Each shard is written
    whole or not at all. An interrupted packing continues when it is called again with the same
    arguments.

    Args:
        source: the dataset: everything that `read_dataset` takes.
        destination: a new or empty folder outside the source, or that of an interrupted packing.
        to: `"array-record"`, the random-access format of Grain; or `"parquet"`, in the form of
            Hugging Face.
        shard_size: size of a shard in megabytes, which a single image may exceed.
        task: `"classification"`, `"detection"` or `"regression"`, for a source that could be
            several.
        format: name of the format of the source; `None` to recognize it.
        on_problem: `"raise"` an error if annotations are wrong; or `"fix"` them: clip boxes to
            their image, leave out what cannot be used, and list all of it in `problems`.
        progress: shows the progress.
        labels: `"multi"` for images of any number of classes.

    Returns:
        `PackedDataset`.

    Raises:
        ValueError: if the source cannot be read or has problems, or the destination cannot be
            written or holds something else.
        ImportError: if the library of the format is not installed.

    Example:
        >>> for name in ("cat", "dog"):
        ...     Path("pets", name).mkdir(parents=True)
        ...     Image.new("RGB", (8, 8)).save(f"pets/{name}/1.png")
        >>> packed = pack_dataset("pets", "pets_packed")
        >>> packed.images, packed.shards, verify_pack("pets_packed")
        ({'train': 2}, 1, [])
    """
    check_choice("to", to, list(SUFFIXES))
    shard_bytes = check_count("shard_size", shard_size) * MEGABYTE
    check_library(to)
    _check_destination(Path(destination), source)
    images = ImageFiles()
    dataset = load_dataset(source, task, format, on_problem, images, labels)
    settings = _settings(dataset, shard_bytes)
    manifest = Manifest(
        dataset.task,
        to,
        _class_table(dataset),
        dataset.declared is not None,
        labels=dataset.labels,
    )
    folder = OutputFolder(destination)
    with _claimed(folder.path):
        _begin(folder, replace(manifest, settings=settings))
        writer = ShardWriter(folder, manifest, dataset.splits, images)
        plans = plan_shards(dataset.splits, shard_bytes)
        _check_space(folder.path, writer, plans)
        total = sum(len(plan.indices) for plan in plans)
        advance = progress("packing", total) if progress else lambda _: None
        entries, kept = [], 0
        for plan in plans:
            entry = writer.finished(plan)
            kept += entry is not None
            entries.append(entry or writer.write(plan))
            advance(len(plan.indices))
        done = replace(manifest, shards=tuple(entries), settings=settings, finished=True)
        folder.write_json(MANIFEST, done.to_json())
    return _result(folder.path, done, dataset, kept)


def verify_pack(path: str | Path) -> list[Problem]:
    """Compare the shards of a packed dataset with their SHA-256.

    Args:
        path: the folder.

    Returns:
        A problem for each shard and index that is missing or damaged.

    Raises:
        ValueError: if it is not a packed dataset.
    """
    folder = Path(path)
    manifest = read_manifest(folder / MANIFEST)
    expected: dict[str, str] = {}
    for entry in manifest.shards:
        expected[manifest.shard_file(entry)] = entry.sha256
        expected[entry.index_file] = entry.index_sha256
    reason = "is missing, or not what the manifest states"
    return [
        Problem("malformed annotation", folder / name, reason)
        for name, digest in expected.items()
        if file_digest(folder / name) != digest
    ]


def _check_destination(path: Path, source: Any) -> None:
    """Check that a folder is new, empty, or that of an earlier packing."""
    if path.exists() and not path.is_dir():
        raise ValueError(f"The destination must be a folder. Received: {path}, which is a file.")
    is_folder = isinstance(source, (str, Path)) and Path(source).is_dir()
    if is_folder and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(source)):
        raise ValueError(
            f"The destination must not be inside the source. Received: {path} in {source}."
        )
    names = [item.name for item in path.iterdir()] if path.is_dir() else []
    if MANIFEST not in names and any(not name.startswith(".") for name in names):
        raise ValueError(
            "The destination must be a new or an empty folder, or that of an interrupted packing. "
            f"Received: {path}, which holds other files."
        )


def _settings(dataset: LoadedDataset, shard_bytes: int) -> dict[str, Any]:
    """Return what must be the same for a packing to continue, as JSON types."""
    prints = {split: images.fingerprint for split, images in dataset.splits.items()}
    return {"shard_bytes": shard_bytes, "fingerprints": prints}


def _class_table(dataset: LoadedDataset) -> tuple[str, ...]:
    """Return the classes in the declared order, or in that of the datasets; or the columns."""
    if dataset.task == "regression":
        return tuple(next(iter(dataset.splits.values())).class_names)
    names = [name for images in dataset.splits.values() for name in images.class_names]
    return tuple(dict.fromkeys([*(dataset.declared or ()), *names]))


@contextmanager
def _claimed(folder: Path) -> Iterator[None]:
    """Keep other processes out of the folder inside this context."""
    with (folder / LOCK).open("w") as lock:
        try:
            is_free = claim(lock)
        except OSError:  # a file system without locks
            is_free = True
        if not is_free:
            raise ValueError(
                f"Another process is packing into {folder}: wait for it, or choose another folder."
            )
        remove_leftovers(folder)
        yield


def _begin(folder: OutputFolder, manifest: Manifest) -> None:
    """Write the manifest of a new packing, or compare it with that of the one to continue."""
    if (folder.path / MANIFEST).exists():
        earlier = read_manifest(folder.path / MANIFEST)
        same = replace(earlier, shards=(), finished=False)
        if json.dumps(same.to_json()) != json.dumps(manifest.to_json()):
            raise ValueError(
                f"{folder.path} holds another packed dataset, or the same with other options: "
                "choose a new folder."
            )
    folder.write_json(MANIFEST, manifest.to_json())


def _check_space(path: Path, writer: ShardWriter, plans: list[ShardPlan]) -> None:
    needed = sum(plan.bytes for plan in plans if not writer.has_file(plan))
    free = shutil.disk_usage(path).free
    if needed > free:
        raise ValueError(
            f"The shards in {path} need {needed / 1e6:,.0f} MB of disk space, and "
            f"{free / 1e6:,.0f} MB are free: choose a folder on another disk."
        )


def _result(path: Path, manifest: Manifest, dataset: LoadedDataset, kept: int) -> PackedDataset:
    return PackedDataset(
        path,
        manifest.to,
        manifest.task,
        manifest.class_names,
        {split: len(images) for split, images in dataset.splits.items()},
        len(manifest.shards),
        sum(entry.bytes for entry in manifest.shards),
        kept,
        tuple(dataset.problems),
    )
