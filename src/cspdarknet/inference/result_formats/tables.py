"""Tables with a row for each detection: CSV and Parquet."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from cspdarknet._extras import require
from cspdarknet._files import write_text, write_whole
from cspdarknet.inference.result_formats.results import FileDetections

CSV_HEADER = ("file", "class", "confidence", "x1", "y1", "x2", "y2", "frame")
CSV_STARTS = (",".join(CSV_HEADER),)  # how a result of an earlier run begins
ROWS_IN_GROUP = 16_384  # of a Parquet file, and so in memory


def write_csv(path: Path, results: Iterable[FileDetections]) -> None:
    """Write a CSV file with a row for each detection; `frame` is empty for images.

    Args:
        path: the file, which is written atomically; `-` is the standard output.
        results: the detections in images and frames.
    """
    write_text(path, _csv_lines(results))


def _csv_lines(results: Iterable[FileDetections]) -> Iterator[str]:
    yield _csv_line(CSV_HEADER)
    for result in results:
        frame = "" if result.frame is None else result.frame
        for row in result.detections.to_json():
            name = row["class_id"] if row["class_name"] is None else row["class_name"]
            yield _csv_line([result.path, name, row["confidence"], *row["xyxy"], frame])


def _csv_line(values: Sequence[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(values)
    return line.getvalue()


def write_parquet(
    path: Path, results: Iterable[FileDetections], class_names: Sequence[str]
) -> None:
    """Write a Parquet file with a row for each detection: the columns of the CSV file and others.

    Args:
        path: the file, which is written atomically.
        results: the detections in images and frames.
        class_names: names of the classes.

    Raises:
        ImportError: if PyArrow is missing.
    """
    arrow: Any = require("pyarrow", "parquet", "Writing Parquet")
    parquet: Any = require("pyarrow.parquet", "parquet", "Writing Parquet")
    types = {
        **{"file": arrow.string(), "class": arrow.string(), "confidence": arrow.float32()},
        **{side: arrow.float32() for side in ("x1", "y1", "x2", "y2")},
        **{"frame": arrow.int64(), "class_id": arrow.int32()},
        **{"width": arrow.int32(), "height": arrow.int32()},
    }
    schema = arrow.schema(list(types.items()))

    def write(part: Path) -> None:
        with parquet.ParquetWriter(part, schema) as writer:
            rows = _parquet_rows(results, class_names)
            while group := list(islice(rows, ROWS_IN_GROUP)):
                writer.write_table(arrow.Table.from_pylist(group, schema))

    write_whole(path, write)


def _parquet_rows(
    results: Iterable[FileDetections], class_names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    for result in results:
        height, width = result.detections.image_size
        # A file name that is not UTF-8 cannot be in the table as it is.
        file = str(result.path).encode(errors="replace").decode()
        for item in result.detections:
            yield {
                **{"file": file, "class": class_names[item.class_id]},
                **{"confidence": item.confidence},
                **dict(zip(("x1", "y1", "x2", "y2"), item.xyxy, strict=True)),
                **{"frame": result.frame, "class_id": item.class_id},
                **{"width": width, "height": height},
            }
