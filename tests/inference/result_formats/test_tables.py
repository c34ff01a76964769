"""Detections as CSV and as Parquet."""

import csv
from pathlib import Path

import pytest

from cspdarknet.detections import Detections
from cspdarknet.inference.result_formats import FileDetections, tables
from cspdarknet.inference.result_formats.tables import CSV_STARTS, write_csv, write_parquet
from detection_results import NAMES, RESULTS

pytestmark = pytest.mark.one_backend


def test_csv(tmp_path):
    unnamed = Detections([[1, 1, 2, 2]], [0.5], [7], (30, 50))
    write_csv(tmp_path / "a.csv", [*RESULTS, FileDetections(Path("b.png"), unnamed)])
    rows = list(csv.reader((tmp_path / "a.csv").open()))
    assert rows == [
        ["file", "class", "confidence", "x1", "y1", "x2", "y2", "frame"],
        ["images/a.png", "red", "0.9", "2.0", "3.0", "12.0", "14.25", ""],
        ["images/a.png", "blue", "0.6", "20.0", "5.0", "40.0", "25.0", ""],
        ["clip.mp4", "blue", "0.5", "1.0", "1.0", "2.0", "2.0", "1"],
        ["b.png", "7", "0.5", "1.0", "1.0", "2.0", "2.0", ""],
    ]


def test_a_csv_file_begins_as_earlier_results_are_recognized(tmp_path):
    for results in (RESULTS, []):
        write_csv(tmp_path / "c.csv", results)
        assert (tmp_path / "c.csv").read_text().startswith(CSV_STARTS)


def test_parquet_has_the_rows_of_the_csv_file(tmp_path, monkeypatch):
    """Also where they are written in several groups."""
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(tables, "ROWS_IN_GROUP", 2)
    write_parquet(tmp_path / "a.parquet", RESULTS, NAMES)
    write_csv(tmp_path / "a.csv", RESULTS)
    file = parquet.ParquetFile(tmp_path / "a.parquet")
    assert file.num_row_groups == 2
    rows = file.read().to_pylist()
    expected = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert len(rows) == len(expected) == 3
    for row, other in zip(rows, expected, strict=True):
        assert row["class"] == NAMES[row["class_id"]] == other["class"]
        assert (row["file"], row["frame"]) == (
            other["file"],
            int(other["frame"] or -1) if other["frame"] else None,
        )
        for name in ("confidence", "x1", "y1", "x2", "y2"):
            assert row[name] == pytest.approx(float(other[name]), abs=1e-4)
    assert (rows[0]["width"], rows[0]["height"]) == (60, 40)


def test_parquet_without_detections(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    write_parquet(tmp_path / "a.parquet", [], NAMES)
    assert parquet.read_table(tmp_path / "a.parquet").num_rows == 0


def test_names_that_are_not_text(tmp_path):
    """A file name that is not UTF-8 does not stop the others."""
    parquet = pytest.importorskip("pyarrow.parquet")
    odd = FileDetections(Path("\udcff.png"), RESULTS[0].detections)
    write_parquet(tmp_path / "a.parquet", [odd], NAMES)
    assert parquet.read_table(tmp_path / "a.parquet")["file"].to_pylist() == ["?.png"] * 2
