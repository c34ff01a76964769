"""Files of embeddings: `.npz`, `.safetensors` and `.parquet`, written in chunks of rows."""

import json
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from cspdarknet._extras import require
from cspdarknet._files import write_whole
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers.safetensors import SafetensorsFile

VECTORS, KEYS, KEY, VECTOR = "vectors", "keys", "key", "vector"
SETTINGS = "cspdarknet_embeddings"
SEPARATOR = "\0"  # of keys in a safetensors file, the only character that no path has
Chunks = Iterable[np.ndarray]
# Rows, keys and settings of a file.
Content = tuple[np.ndarray, Sequence[str], str]
PARQUET = "Embeddings in .parquet files"


def _write_npz(path: Path, chunks: Chunks, width: int, keys: Sequence[str], settings: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open(f"{VECTORS}.npy", "w", force_zip64=True) as file:
            header = {"descr": "<f4", "fortran_order": False, "shape": (len(keys), width)}
            np.lib.format.write_array_header_1_0(file, header)  # type: ignore[arg-type]
            _write_rows(file, chunks)  # type: ignore[arg-type]
        for name, text in ((KEYS, keys), (SETTINGS, settings)):
            info = zipfile.ZipInfo(f"{name}.npy")
            info.compress_type = zipfile.ZIP_DEFLATED  # four bytes a character otherwise
            with archive.open(info, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.array(text, dtype=str))  # type: ignore[arg-type]


def _read_npz(path: Path) -> Content:
    with np.load(path, allow_pickle=False) as arrays:
        return arrays[VECTORS], arrays[KEYS].tolist(), str(arrays[SETTINGS])


def _write_safetensors(
    path: Path, chunks: Chunks, width: int, keys: Sequence[str], settings: str
) -> None:
    text = SEPARATOR.join(keys).encode("utf-8", "surrogateescape")
    end = 4 * len(keys) * width
    header = {
        "__metadata__": {SETTINGS: settings},
        VECTORS: {"dtype": "F32", "shape": [len(keys), width], "data_offsets": [0, end]},
        KEYS: {"dtype": "U8", "shape": [len(text)], "data_offsets": [end, end + len(text)]},
    }
    start = json.dumps(header).encode()
    start += b" " * (-len(start) % 8)
    with path.open("wb") as file:
        file.write(len(start).to_bytes(8, "little") + start)
        _write_rows(file, chunks)
        file.write(text)


def _read_safetensors(path: Path) -> Content:
    stored = SafetensorsFile(path)
    text = stored.read(KEYS).astype("uint8").tobytes().decode("utf-8", "surrogateescape")
    keys = text.split(SEPARATOR) if text else []
    return stored.read(VECTORS), keys, str(stored.metadata[SETTINGS])


def _write_parquet(
    path: Path, chunks: Chunks, width: int, keys: Sequence[str], settings: str
) -> None:
    arrow: Any = require("pyarrow", "parquet", PARQUET)
    parquet: Any = require("pyarrow.parquet", "parquet", PARQUET)
    types = [(KEY, arrow.string()), (VECTOR, arrow.list_(arrow.float32(), width))]
    schema = arrow.schema(types, metadata={SETTINGS: settings})
    if odd := next((key for key in keys if not _is_utf8(key)), None):
        raise ValueError(
            f"A .parquet file can hold names in UTF-8 only. Received: {odd!r}: rename the image, "
            "or choose .npz or .safetensors."
        )
    first = 0
    with parquet.ParquetWriter(path, schema) as writer:
        for chunk in chunks:
            names = arrow.array(keys[first : first + len(chunk)], arrow.string())
            values = arrow.array(np.ascontiguousarray(chunk, "float32").reshape(-1))
            rows = arrow.FixedSizeListArray.from_arrays(values, width)
            writer.write_table(arrow.table([names, rows], schema=schema))
            first += len(chunk)


def _read_parquet(path: Path) -> Content:
    parquet: Any = require("pyarrow.parquet", "parquet", PARQUET)
    table = parquet.read_table(path)
    width = table.schema.field(VECTOR).type.list_size
    values = table[VECTOR].combine_chunks().flatten().to_numpy().reshape(-1, width)
    return values, table[KEY].to_pylist(), table.schema.metadata[SETTINGS.encode()].decode()


class EmbeddingFormat(NamedTuple):
    """How the files of a format are written and read."""

    write: Callable[[Path, Chunks, int, Sequence[str], str], None]
    read: Callable[[Path], Content]


FORMATS = {
    ".npz": EmbeddingFormat(_write_npz, _read_npz),
    ".safetensors": EmbeddingFormat(_write_safetensors, _read_safetensors),
    ".parquet": EmbeddingFormat(_write_parquet, _read_parquet),
}


def check_suffix(path: str | Path) -> Path:
    """Return the path of a file of embeddings.

    Raises:
        ValueError: if its name does not end in that of a format.
        ImportError: if the format needs a package that is missing.
    """
    path = Path(path)
    if path.suffix.lower() not in FORMATS:
        raise ValueError(
            f"A file of embeddings must end in one of {', '.join(FORMATS)}. Received: {path}"
        )
    if path.suffix.lower() == ".parquet":
        require("pyarrow", "parquet", PARQUET)
    return path


def write_file(path: Path, chunks: Chunks, width: int, keys: Sequence[str], settings: str) -> None:
    """Write a file of embeddings, whole or not at all.

    Args:
        path: the file.
        chunks: its rows in order, float32 arrays `(rows, width)`.
        width: number of features.
        keys: keys of all rows.
        settings: the settings as JSON.
    """
    write = FORMATS[path.suffix.lower()].write
    write_whole(path, lambda part: write(part, chunks, width, keys, settings))


def read_file(path: Path) -> Content:
    """Read a file of embeddings.

    Raises:
        ValueError: if it holds something else, or is damaged.
    """
    try:
        return FORMATS[path.suffix.lower()].read(path)
    except ImportError:
        raise
    except Exception as error:  # each library has errors of its own for damaged files
        reason = str(error) if isinstance(error, CheckpointError) else type(error).__name__
        raise damaged(path, reason) from error


def damaged(path: Path, reason: Any) -> ValueError:
    """Return the error of a file that holds something else than embeddings."""
    return ValueError(
        f"{path} must be a file of embeddings. Received: another one, or a damaged one ({reason}): "
        "write it again with `cspdarknet embed`, under another name if it is not yours."
    )


def _write_rows(file: BinaryIO, chunks: Chunks) -> None:
    for chunk in chunks:
        file.write(np.ascontiguousarray(chunk, "<f4").data)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
