"""The manifest of a bulk job: its inputs, cut into numbered parts that never change."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from cspdarknet._extras import require
from cspdarknet.scale.sources import Input, is_shard
from cspdarknet.scale.storage import EXTRA, PURPOSE, ResultFolder

FILE = "manifest.parquet"


class Manifest:
    """The parts of a job, each a row group of one Parquet file in the folder of the job.

    A part is a number of image files, or one shard. Parts are added, but never changed, so that a
    part with a result need not be done again.

    Args:
        folder: the folder of the job.

    Example:
        >>> manifest = Manifest(ResultFolder("memory://listed"))
        >>> manifest.extend([Input(f"{i}.png", f"/images/{i}.png") for i in range(5)], part_size=2)
        5
        >>> len(manifest), [item.key for item in manifest.inputs(1)]
        (3, ['2.png', '3.png'])
    """

    def __init__(self, folder: ResultFolder) -> None:
        self._folder = folder

    def __len__(self) -> int:
        if not self._folder.exists(FILE):
            return 0
        return int(self._file.num_row_groups)

    @cached_property
    def _file(self) -> Any:
        parquet: Any = require("pyarrow.parquet", EXTRA, PURPOSE)
        try:
            return parquet.ParquetFile(self._folder.open(FILE))
        except ValueError as error:
            raise ValueError(
                f"{self._folder.url}/{FILE} is damaged ({error}): choose another folder."
            ) from error

    def inputs(self, part: int) -> list[Input]:
        """Return the inputs of a part."""
        return _from_table(self._file.read_row_group(part))

    def extend(self, inputs: Sequence[Input], part_size: int) -> int:
        """Add inputs that are not in the manifest yet, as further parts.

        Args:
            inputs: inputs with distinct keys.
            part_size: maximum number of image files in a part.

        Returns:
            The number of inputs that were added.

        Raises:
            ValueError: if an input has the key of another one in the manifest.
        """
        parts = [self.inputs(part) for part in range(len(self))]
        known = {item.key: item.path for part in parts for item in part}
        for item in inputs:
            if known.get(item.key, item.path) != item.path:
                raise ValueError(
                    f"{item.path} has the key {item.key} of {known[item.key]}, which is in the "
                    f"results at {self._folder.url}: choose another folder."
                )
        new = [item for item in inputs if item.key not in known]
        if new:
            parts += _cut(new, part_size)
            self._folder.write(FILE, lambda path: _write(path, parts))
            self.__dict__.pop("_file", None)
        return len(new)


def _cut(inputs: Sequence[Input], part_size: int) -> Iterator[list[Input]]:
    """Yield the parts: a number of image files, or one shard."""
    files = [item for item in inputs if not is_shard(item.path)]
    yield from (files[i : i + part_size] for i in range(0, len(files), part_size))
    yield from ([item] for item in inputs if is_shard(item.path))


def _write(path: Path, parts: Sequence[Sequence[Input]]) -> None:
    arrow: Any = require("pyarrow", EXTRA, PURPOSE)
    parquet: Any = require("pyarrow.parquet", EXTRA, PURPOSE)
    # Paths need not be UTF-8.
    schema = arrow.schema([("key", arrow.string()), ("path", arrow.binary())])
    with parquet.ParquetWriter(path, schema) as writer:
        for part in parts:
            columns = {
                "key": [item.key for item in part],
                "path": [item.path.encode(errors="surrogateescape") for item in part],
            }
            writer.write_table(arrow.table(columns, schema), row_group_size=len(part))


def _from_table(table: Any) -> list[Input]:
    keys, paths = table["key"].to_pylist(), table["path"].to_pylist()
    decoded = [path.decode(errors="surrogateescape") for path in paths]
    return [Input(key, path) for key, path in zip(keys, decoded, strict=True)]
