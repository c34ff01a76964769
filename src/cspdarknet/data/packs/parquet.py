"""Shards in Parquet, in the form of Hugging Face, from which images are read without a library.

The bytes of the images are written uncompressed and without a dictionary, so that those of each
image are in one piece, whose offset the index has. Other tools read the columns as usual.
"""

import json
import mmap
import struct
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from cspdarknet._extras import require
from cspdarknet._labels import MULTI
from cspdarknet.data.packs.manifest import Manifest

GROUP_BYTES, GROUP_ROWS = 64_000_000, 1000
LENGTH = struct.Struct("<I")  # in front of each value
MAGIC_BYTES = 4
IMAGE = "image"  # name of the column of images

Row = Mapping[str, Any]


def load_library(purpose: str) -> Any:
    """Import PyArrow.

    Raises:
        ImportError: if it is not installed.
    """
    require("pyarrow.parquet", "parquet", purpose)
    return require("pyarrow", "parquet", purpose)


def write_rows(
    path: Path, rows: Iterable[Row], manifest: Manifest, numbers: Collection[str] = ()
) -> list[int]:
    """Write a shard, and return the offset of the bytes of each image.

    Args:
        path: the file.
        rows: `image`, a dict of `bytes` and `path`; and `label`, a list of `labels`, `objects` of
            lists, or the values of the columns.
        manifest: the manifest, for the task and the classes.
        numbers: the columns of numbers; others are of texts.

    Raises:
        OSError: if the file cannot be written.
        RuntimeError: if PyArrow lays the bytes out in another way.
    """
    arrow = load_library("Packing into Parquet")
    schema = _schema(arrow, manifest, numbers)
    options = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    offsets: list[int] = []
    with (
        path.open("wb") as file,
        arrow.parquet.ParquetWriter(file, schema, **options) as writer,
    ):
        for group in _groups(rows):
            start = file.tell() or MAGIC_BYTES
            writer.write_table(arrow.Table.from_pylist(group, schema=schema))
            file.flush()
            offsets += _offsets(path, [row["image"]["bytes"] for row in group], start)
    return offsets


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Yield rows in groups that fit into memory."""
    iterator = iter(rows)
    while group := list(islice(iterator, 1)):
        size = len(group[0]["image"]["bytes"])
        while size < GROUP_BYTES and len(group) < GROUP_ROWS:
            row = next(iterator, None)
            if row is None:
                break
            group.append(row)
            size += len(row["image"]["bytes"])
        yield group


def _offsets(path: Path, contents: Sequence[bytes], start: int) -> list[int]:
    """Return where values are in the file, in their order."""
    offsets = []
    with path.open("rb") as file, _mapped(file) as data:
        for content in contents:
            value = LENGTH.pack(len(content)) + content
            found = data.find(value, start)
            if found < 0:
                raise RuntimeError(
                    "This version of PyArrow does not write values as they are: pack into "
                    "array-record."
                )
            offsets.append(found + LENGTH.size)
            start = found + len(value)
    return offsets


def _mapped(file: BinaryIO) -> mmap.mmap:
    return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def _schema(arrow: Any, manifest: Manifest, numbers: Collection[str]) -> Any:
    """Return the columns, with the features by which Hugging Face knows images and classes."""
    image = arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    class_names = [_utf8(name) for name in manifest.class_names]
    names: dict[str, Any] = {"names": class_names, "_type": "ClassLabel"}
    columns: list[tuple[str, Any]]
    features: dict[str, Any]
    if manifest.task == "regression":
        columns = [
            (column_name(name), arrow.float64() if name in numbers else arrow.string())
            for name in manifest.class_names
        ]
        features = {name: {"dtype": str(kind), "_type": "Value"} for name, kind in columns}
    elif manifest.task == "classification" and manifest.labels == MULTI:
        columns = [("labels", arrow.list_(arrow.int64()))]
        features = {"labels": {"feature": names, "_type": "List"}}
    elif manifest.task == "classification":
        columns, features = [("label", arrow.int64())], {"label": names}
    else:
        lists = [
            ("bbox", arrow.list_(arrow.list_(arrow.float32()))),
            ("category", arrow.list_(arrow.int64())),
            ("iscrowd", arrow.list_(arrow.bool_())),
        ]
        columns = [("objects", arrow.struct(lists))]
        box = {"feature": {"dtype": "float32", "_type": "Value"}, "_type": "List"}
        objects = {
            "bbox": {"feature": box, "_type": "List"},
            "category": {"feature": names, "_type": "List"},
            "iscrowd": {"feature": {"dtype": "bool", "_type": "Value"}, "_type": "List"},
        }
        features = {"objects": objects}
    info = {"features": {"image": {"_type": "Image"}, **features}}
    metadata = {"huggingface": json.dumps({"info": info})}
    return arrow.schema([("image", image), *columns], metadata=metadata)


def column_name(name: str) -> str:
    """Return the name of the column of a table of numbers, which must not be that of the images."""
    return _utf8(f"{name}_" if name == IMAGE else name)


def _utf8(text: str) -> str:
    return text.encode(errors="surrogateescape").decode(errors="replace")
