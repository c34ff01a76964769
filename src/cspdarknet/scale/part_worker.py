"""`PartWorker`: does parts of a bulk job, one after the other, with one `Predictor`."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cspdarknet._extras import require
from cspdarknet._keras import build_on_numpy
from cspdarknet.images import ImageError
from cspdarknet.scale.batch_predictor import ERROR, BatchPredictor
from cspdarknet.scale.manifest import Manifest
from cspdarknet.scale.models import weights_sha256
from cspdarknet.scale.reading import Columns, read_images
from cspdarknet.scale.storage import EXTRA, PURPOSE, ResultFolder
from cspdarknet.scale.tables import Row, to_table

RESULTS, ERRORS = "results", "errors"
ROWS_AT_ONCE = 64  # results in memory before they are written
KEY = "key"


class PartResult(NamedTuple):
    """The outcome of one part.

    Attributes:
        part: number of the part.
        images: number of images with results.
        errors: number of images that cannot be used.
    """

    part: int
    images: int
    errors: int


def part_file(part: int) -> str:
    """Return the name of the Parquet file of a part."""
    return f"part-{part:06}.parquet"


class PartWorker:
    """Does parts of a bulk job.

    Args:
        out: folder of the results, with the manifest.
        model: name or path of the model.
        sha256: SHA-256 of its weights.
        columns: columns of Parquet files.
        options: other arguments of `BatchPredictor`.

    Raises:
        ValueError: if the folder is another one on this machine, or the model has other weights.
    """

    def __init__(
        self, out: str, model: str, sha256: str, columns: Columns, options: Mapping[str, Any]
    ) -> None:
        self._folder, self._columns = ResultFolder(out), columns
        self._manifest = Manifest(self._folder)
        if not len(self._manifest):
            raise ValueError(
                f"All machines must see the folder of the results. Received: {out}, which is not "
                "seen by one: choose a shared folder, or a URL such as s3://bucket/results."
            )
        if weights_sha256(model) != sha256:
            raise ValueError(
                f"All machines must see the same model. Received: {model}, which has other weights "
                "on one: choose a file in a shared folder."
            )
        if options.get("runtime") != "keras":
            build_on_numpy()
        self._predictor = BatchPredictor(model, **options)
        arrow: Any = require("pyarrow", EXTRA, PURPOSE)
        key = arrow.field(KEY, arrow.string())
        self._schema = arrow.schema([key, *self._predictor.schema])
        self._error_schema = arrow.schema([key, (ERROR, arrow.string())])

    def run(self, part: int) -> PartResult:
        """Do a part, unless its result is there.

        Raises:
            OSError: if the result cannot be written.
        """
        name = part_file(part)
        if self._folder.exists(f"{RESULTS}/{name}"):
            return PartResult(part, 0, 0)
        errors: list[Row] = []
        count = 0

        def write(path: Path) -> None:
            nonlocal count
            count = self._write(path, self._good_rows(part, errors))
            # Before the results, whose file says that the part is done.
            self._write_errors(name, errors)

        self._folder.write(f"{RESULTS}/{name}", write)
        return PartResult(part, count, len(errors))

    def _good_rows(self, part: int, errors: list[Row]) -> Iterator[Row]:
        """Yield the rows of the images with results; put those of the others into `errors`."""
        images = read_images(self._manifest.inputs(part), self._columns)
        for key, result in self._predictor.results(images):
            if isinstance(result, ImageError):
                errors.append({KEY: key, ERROR: str(result)})
            else:
                yield {KEY: key, **result}

    def _write(self, path: Path, rows: Iterator[Row]) -> int:
        """Write rows to a Parquet file as they come, and return their number."""
        parquet: Any = require("pyarrow.parquet", EXTRA, PURPOSE)
        count, waiting = 0, list[Row]()
        with parquet.ParquetWriter(path, self._schema) as writer:
            for row in rows:
                waiting.append(row)
                count += 1
                if len(waiting) == ROWS_AT_ONCE:
                    writer.write_table(to_table(waiting, self._schema))
                    waiting = []
            writer.write_table(to_table(waiting, self._schema))
        return count

    def _write_errors(self, name: str, errors: list[Row]) -> None:
        path = f"{ERRORS}/{name}"
        if not errors:
            self._folder.remove(path)  # of an interrupted attempt
            return
        parquet: Any = require("pyarrow.parquet", EXTRA, PURPOSE)
        table = to_table(errors, self._error_schema)
        self._folder.write(path, lambda local: parquet.write_table(table, local))
