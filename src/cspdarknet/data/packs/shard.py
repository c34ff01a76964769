"""Shards of packed datasets: a file with the bytes of many images, and an index beside it."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from cspdarknet._arguments import MAX_IMAGE_SIZE
from cspdarknet._labels import MULTI
from cspdarknet._stored_images import StoredImage
from cspdarknet.data.annotations import (
    AnnotatedImage,
    LabeledImage,
    MultiLabelImage,
    NumberedImage,
)
from cspdarknet.data.files import MAX_TEXT_BYTES
from cspdarknet.data.packs import array_record
from cspdarknet.data.packs.manifest import Manifest, ShardEntry, shortened

# Columns of an index with a value for each image, and with one for each box.
IMAGE_COLUMNS = ("names", "lengths", "widths", "heights")
MAX_BYTES = 2**31  # of an image file
AnyImage = LabeledImage | MultiLabelImage | NumberedImage | AnnotatedImage
MALFORMED = (KeyError, TypeError, ValueError, OverflowError, RecursionError)


@dataclass(frozen=True, eq=False)
class Shard:
    """The images of a shard, for random access by any number of threads.

    Attributes:
        path: the file.
        key: the SHA-256 that the manifest states.
        lengths: number of bytes of each image file.
        sizes: int array `(images, 2)`, width and height of each image.
        offsets: where the bytes of each image file begin; `None` if ArrayRecord finds them.
    """

    path: Path
    key: str
    lengths: np.ndarray
    sizes: np.ndarray
    offsets: np.ndarray | None = None

    def read(self, index: int) -> bytes:
        """Return the bytes of an image file.

        Raises:
            ValueError: if the shard is damaged.
            OSError: if it cannot be read.
        """
        if self.offsets is None:
            content = array_record.read_record(self.path, self.key, len(self.lengths), index)
        else:
            with self.path.open("rb") as file:
                file.seek(int(self.offsets[index]))
                content = file.read(self.length(index))
        if len(content) != self.length(index):
            raise ValueError(f"the shard {self.path} is damaged")
        return content

    def length(self, index: int) -> int:
        """Return the number of bytes of an image file."""
        return int(self.lengths[index])

    def image_size(self, index: int) -> tuple[int, int]:
        """Return width and height of an image, upright."""
        width, height = self.sizes[index].tolist()
        return width, height


def read_shard(folder: Path, manifest: Manifest, entry: ShardEntry) -> Sequence[AnyImage]:
    """Read the annotations of a shard from its index.

    Args:
        folder: folder of the packed dataset.
        manifest: its manifest.
        entry: the shard.

    Raises:
        ValueError: if the shard or its index is missing or damaged.
    """
    path = folder / manifest.shard_file(entry)
    _check_size(path, entry.bytes)
    index_path = folder / entry.index_file
    _check_size(index_path, min(entry.index_bytes, MAX_TEXT_BYTES))
    content = index_path.read_bytes()
    if hashlib.sha256(content).hexdigest() != entry.index_sha256:
        raise ValueError(_damaged(index_path, "its checksum is wrong"))
    try:
        index = json.loads(content)
        shard = _shard(path, manifest, entry, index)
        names = _checked_names(index["names"], entry.images)
        images = [StoredImage.at(folder / name, shard, i) for i, name in enumerate(names)]
        return _reader(manifest)(images, index, manifest.class_names)
    except MALFORMED as error:
        raise ValueError(_damaged(index_path, str(error))) from error


def _damaged(path: Path, reason: str) -> str:
    return f"{path} is damaged ({shortened(reason)}): copy or pack the dataset again."


def _check_size(path: Path, size: int) -> None:
    try:
        found = path.stat().st_size if path.is_file() else None
    except OSError:
        found = None
    if found is None:
        raise ValueError(f"{path} is missing: copy or pack the dataset again.")
    if found != size:
        raise ValueError(_damaged(path, f"it has {found:,} bytes in place of {size:,}"))


def _shard(path: Path, manifest: Manifest, entry: ShardEntry, index: dict[str, Any]) -> Shard:
    count = entry.images
    lengths = _integers(index, "lengths", count, 1, MAX_BYTES)
    sizes = [_integers(index, side, count, 1, MAX_IMAGE_SIZE**2) for side in ("widths", "heights")]
    offsets = None
    if manifest.to == "parquet":
        offsets = _integers(index, "offsets", count, 0, entry.bytes)
        if (offsets + lengths > entry.bytes).any():
            raise ValueError("an image is beyond the end of its shard")
    return Shard(path, entry.sha256, lengths, np.column_stack(sizes), offsets)


def _integers(index: dict[str, Any], name: str, count: int, least: int, most: int) -> np.ndarray:
    """Return a column of integers, of a given length and in a range."""
    column = np.asarray(index[name] or np.zeros(0, "int64"))
    is_valid = column.shape == (count,) and column.dtype.kind == "i"
    if not is_valid or (column < least).any() or (column > most).any():
        raise ValueError(f"`{name}` must be {count} integers in {least}..{most}")
    return column


def _checked_names(names: Any, count: int) -> list[str]:
    """Check that names are those of files below a folder."""
    if not isinstance(names, list) or len(names) != count:
        raise ValueError(f"`names` must be a list of {count} names")
    for name in names:
        is_name = isinstance(name, str) and name and "\0" not in name
        path = PurePosixPath(name if is_name else "/")
        if path.is_absolute() or ".." in path.parts or not path.name:
            raise ValueError(f"{name!r} is not the name of a file")
    return names


def _reader(manifest: Manifest) -> Callable[[list[StoredImage], Any, Any], Sequence[AnyImage]]:
    if manifest.task == "classification":
        return _multi_labeled if manifest.labels == MULTI else _labeled
    return _annotated if manifest.task == "detection" else _numbered


def _labeled(
    images: list[StoredImage], index: dict[str, Any], class_names: tuple[str, ...]
) -> list[LabeledImage]:
    labels = _integers(index, "labels", len(images), 0, len(class_names) - 1)
    rows = zip(images, labels.tolist(), strict=True)
    return [LabeledImage(path, class_names[label]) for path, label in rows]


def _multi_labeled(
    images: list[StoredImage], index: dict[str, Any], class_names: tuple[str, ...]
) -> list[MultiLabelImage]:
    spans, labels = _spans(images, index, class_names)
    return [
        MultiLabelImage(path, tuple(dict.fromkeys(class_names[i] for i in labels[span])))
        for path, span in zip(images, spans, strict=True)
    ]


def _numbered(
    images: list[StoredImage], index: dict[str, Any], columns: tuple[str, ...]
) -> list[NumberedImage]:
    values = index["values"]
    if not isinstance(values, dict) or set(values) != set(columns):
        raise ValueError("its columns are not those of the manifest")
    for texts in values.values():
        if not isinstance(texts, list) or len(texts) != len(images):
            raise ValueError(f"`values` must be {len(images)} texts of each column")
        if not all(isinstance(text, str) for text in texts):
            raise ValueError("`values` must be texts")
    rows = zip(*(values[column] for column in columns), strict=True)
    return [
        NumberedImage(path, dict(zip(columns, row, strict=True)), path.parent, path.name)
        for path, row in zip(images, rows, strict=True)
    ]


def _spans(
    images: list[StoredImage], index: dict[str, Any], class_names: tuple[str, ...]
) -> tuple[list[slice], list[int]]:
    """Return where the labels of each image are, and all labels."""
    counts = _integers(index, "counts", len(images), 0, MAX_TEXT_BYTES)
    labels = _integers(index, "labels", int(counts.sum()), 0, len(class_names) - 1).tolist()
    ends = np.cumsum(counts).tolist()
    return [slice(e - n, e) for e, n in zip(ends, counts.tolist(), strict=True)], labels


def _annotated(
    images: list[StoredImage], index: dict[str, Any], class_names: tuple[str, ...]
) -> list[AnnotatedImage]:
    spans, labels = _spans(images, index, class_names)
    total = len(labels)
    ignored = _integers(index, "ignored", total, 0, 1).astype(bool).tolist()
    corners = np.asarray(index["boxes"] or np.zeros(0))
    if corners.shape != (4 * total,) or corners.dtype.kind not in "if":
        raise ValueError(f"`boxes` must be {4 * total} numbers")
    boxes = [tuple(box) for box in corners.astype("float64").reshape(-1, 4).tolist()]
    return [
        AnnotatedImage(path, boxes[span], [class_names[i] for i in labels[span]], ignored[span])
        for path, span in zip(images, spans, strict=True)
    ]
