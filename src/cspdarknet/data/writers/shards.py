"""Writing of single shards: which images each holds, its file, and its index."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._files import OutputFolder, write_whole
from cspdarknet._labels import MULTI
from cspdarknet._stored_images import image_stamp
from cspdarknet.data.formats.number_table import is_finite
from cspdarknet.data.packs import Manifest, ShardEntry, array_record, parquet
from cspdarknet.data.writers.images import ImageFiles

# An index must be read as one text.
MAX_IMAGES, MAX_BOXES = 10_000, 1_000_000


@dataclass(frozen=True)
class ShardPlan:
    """The images of a shard.

    Attributes:
        split: their split.
        name: name of the shard.
        indices: their indices in the dataset of the split.
        bytes: size of their files.
        source: digest of the sizes and times of their files.
    """

    split: str
    name: str
    indices: range
    bytes: int
    source: str


def plan_shards(splits: Mapping[str, Any], shard_bytes: int) -> list[ShardPlan]:
    """Divide the images of each split among shards, in their order.

    Args:
        splits: the splits, as `load_dataset` returns them.
        shard_bytes: size of a shard, which a single image may exceed.
    """
    plans = []
    for split, dataset in splits.items():
        stamps = [image_stamp(path) for path in dataset.paths]
        counts = [len(dataset.class_ids(i)) for i in range(len(dataset))]
        for number, indices in enumerate(_ranges(stamps, counts, shard_bytes)):
            chosen = [stamps[i] for i in indices]
            digest = hashlib.sha256(json.dumps(chosen).encode()).hexdigest()
            size = sum(length for length, _ in chosen)
            plans.append(ShardPlan(split, f"{split}-{number:05}", indices, size, digest))
    return plans


def _ranges(
    stamps: Sequence[tuple[int, int]], counts: Sequence[int], shard_bytes: int
) -> Iterator[range]:
    first = size = count = 0
    for i, ((length, _), number) in enumerate(zip(stamps, counts, strict=True)):
        is_full = size + length > shard_bytes or count + number > MAX_BOXES
        if i > first and (is_full or i - first >= MAX_IMAGES):
            yield range(first, i)
            first, size, count = i, 0, 0
        size, count = size + length, count + number
    if len(stamps) > first:
        yield range(first, len(stamps))


class ShardWriter:
    """Writes the shards of a dataset into a folder.

    Args:
        folder: the folder.
        manifest: the manifest, for the format and the classes.
        splits: the splits of the dataset.
        images: the sizes of the images.
    """

    def __init__(
        self,
        folder: OutputFolder,
        manifest: Manifest,
        splits: Mapping[str, Any],
        images: ImageFiles,
    ) -> None:
        self._folder = folder
        self._manifest = manifest
        self._splits = splits
        self._images = images
        self._ids = {name: i for i, name in enumerate(manifest.class_names)}
        self._numbers = _number_columns(manifest, splits)
        paths = [path for dataset in splits.values() for path in dataset.paths]
        self._root = os.path.commonpath([_absolute(path).parent for path in paths])

    def has_file(self, plan: ShardPlan) -> bool:
        """Whether there is a file of this shard, which may be outdated."""
        return (self._folder.path / self._file(plan)).exists()

    def finished(self, plan: ShardPlan) -> ShardEntry | None:
        """Return the entry of a shard that an earlier process has written; `None` if there is none.

        The image files must have the sizes and times that they had, and the shard its checksum.
        """
        try:
            content = (self._folder.path / f"{plan.name}.json").read_bytes()
            index = json.loads(content)
            is_whole = index.pop("check") == _digest(index)
            entry = _entry(plan, index["bytes"], index["sha256"], content)
            is_same = (index["source"], len(index["names"])) == (plan.source, len(plan.indices))
            is_same = is_same and is_whole
        except (OSError, ValueError, LookupError, TypeError):
            return None
        digest = file_digest(self._folder.path / self._file(plan))
        return entry if is_same and digest == entry.sha256 else None

    def write(self, plan: ShardPlan) -> ShardEntry:
        """Write a shard, and its index after it.

        Raises:
            OSError: if an image cannot be read, or a file cannot be written.
        """
        path = self._folder.path / self._file(plan)
        index = self._index(plan)
        write_whole(path, lambda part: self._write_images(part, plan, index))
        index["bytes"], index["sha256"] = path.stat().st_size, file_digest(path)
        index["check"] = _digest(index)
        content = json.dumps(index, separators=(",", ":")).encode()
        self._folder.write(f"{plan.name}.json", lambda file: file.write(content))
        return _entry(plan, index["bytes"], index["sha256"], content)

    def _file(self, plan: ShardPlan) -> str:
        return self._manifest.shard_file(_entry(plan, 1, "0" * 64, b"0"))

    def _write_images(self, part: Path, plan: ShardPlan, index: dict[str, Any]) -> None:
        if self._manifest.to == "array-record":
            array_record.write_records(part, self._contents(plan, index))
        else:
            rows = self._rows(plan, index)
            index["offsets"] = parquet.write_rows(part, rows, self._manifest, self._numbers)
        with part.open("rb+") as file:
            os.fsync(file.fileno())

    def _contents(self, plan: ShardPlan, index: dict[str, Any]) -> Iterator[bytes]:
        """Yield the bytes of the image files, which must be as long as they were."""
        paths = self._splits[plan.split].paths
        for i, length in zip(plan.indices, index["lengths"], strict=True):
            content = paths[i].read_bytes()
            if len(content) != length:
                raise ValueError(f"{paths[i]} has changed while it was packed: pack again.")
            yield content

    def _rows(self, plan: ShardPlan, index: dict[str, Any]) -> Iterator[parquet.Row]:
        columns = zip(plan.indices, index["names"], self._contents(plan, index), strict=True)
        for i, name, content in columns:
            path = name.encode(errors="surrogateescape").decode(errors="replace")
            yield {"image": {"bytes": content, "path": path}, **self._target(plan.split, i)}

    def _target(self, split: str, i: int) -> dict[str, Any]:
        """Return the annotation of an image as the columns of a Parquet file."""
        dataset, manifest = self._splits[split], self._manifest
        if manifest.task == "regression":
            values = self._values(dataset, i)
            return {parquet.column_name(name): value for name, value in values.items()}
        labels = self._labels(dataset, i)
        if manifest.task == "classification":
            return {"labels": labels} if manifest.labels == MULTI else {"label": labels[0]}
        sides = np.hstack(
            [dataset.boxes[i][:, :2], dataset.boxes[i][:, 2:] - dataset.boxes[i][:, :2]]
        )
        return {
            "objects": {
                "bbox": sides.tolist(),
                "category": labels,
                "iscrowd": dataset.ignored[i].tolist(),
            }
        }

    def _values(self, dataset: Any, i: int) -> dict[str, Any]:
        """Return the texts of an image, and the numbers among the columns as numbers."""
        values: dict[str, Any] = dict(zip(dataset.class_names, dataset.rows[i], strict=True))
        for name in self._numbers:
            values[name] = float(values[name]) if values[name] else None
        return values

    def _labels(self, dataset: Any, i: int) -> list[int]:
        """Return the class ids of an image as those of the manifest."""
        return [self._ids[dataset.class_names[k]] for k in dataset.class_ids(i)]

    def _index(self, plan: ShardPlan) -> dict[str, Any]:
        """Return the index of a shard, without what depends on its file."""
        dataset = self._splits[plan.split]
        paths = [dataset.paths[i] for i in plan.indices]
        sizes = [self._images.size(path) for path in paths]
        index: dict[str, Any] = {
            "source": plan.source,
            "names": [Path(os.path.relpath(_absolute(p), self._root)).as_posix() for p in paths],
            "lengths": [image_stamp(path)[0] for path in paths],
            "widths": [width for width, _ in sizes],
            "heights": [height for _, height in sizes],
        }
        if self._manifest.task == "regression":
            columns = zip(*(dataset.rows[i] for i in plan.indices), strict=True)
            return index | {"values": dict(zip(dataset.class_names, columns, strict=True))}
        labels = [self._labels(dataset, i) for i in plan.indices]
        index["labels"] = [k for ids in labels for k in ids]
        if self._manifest.labels == MULTI or self._manifest.task == "detection":
            index["counts"] = [len(ids) for ids in labels]
        if self._manifest.task == "detection":
            index["boxes"] = [v for i in plan.indices for v in dataset.boxes[i].ravel().tolist()]
            index["ignored"] = [int(v) for i in plan.indices for v in dataset.ignored[i]]
        return index


def _number_columns(manifest: Manifest, splits: Mapping[str, Any]) -> list[str]:
    """Return the columns of a table of numbers in which every text is a number or missing."""
    if manifest.task != "regression":
        return []
    columns = zip(*(row for dataset in splits.values() for row in dataset.rows), strict=True)
    return [
        name
        for name, texts in zip(manifest.class_names, columns, strict=True)
        if all(is_finite(text) for text in texts if text)
    ]


def check_library(to: str) -> None:
    """Check that the library of a format is installed.

    Raises:
        ImportError: if it is not.
    """
    library = array_record if to == "array-record" else parquet
    library.load_library(f"Packing into {to}")


def _digest(index: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the content of an index."""
    return hashlib.sha256(json.dumps(index, sort_keys=True).encode()).hexdigest()


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file; an empty text if it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""


def _absolute(path: Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  (links are not followed)


def _entry(plan: ShardPlan, size: int, digest: str, index: bytes) -> ShardEntry:
    return ShardEntry(
        plan.name,
        plan.split,
        len(plan.indices),
        size,
        digest,
        len(index),
        hashlib.sha256(index).hexdigest(),
    )
