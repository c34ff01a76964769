"""The numbers that a regressor predicts: rows, table and files of `cspdarknet predict`."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from cspdarknet._files import write_text
from cspdarknet.cli.tables import plain_table

SHOWN_DIGITS, DIGITS = 5, 7
# Of the columns in a CSV file, which is no table of true numbers.
PREFIX = "predicted_"
NUMBERS_START = f"image,{PREFIX}"  # by which an earlier result is told from other files


def numbers_row(path: Path, numbers: np.ndarray, targets: Sequence[str]) -> dict[str, Any]:
    """Return the numbers of an image by target."""
    pairs = zip(targets, numbers.tolist(), strict=True)
    return {
        "image": str(path),
        "targets": {name: float(f"{number:.{DIGITS}g}") for name, number in pairs},
    }


def numbers_table(names: Sequence[str], rows: Sequence[dict[str, Any]]) -> Table:
    """Return a table with a column for each target."""
    table = plain_table()
    table.add_column("image", overflow="fold")
    for target in rows[0]["targets"] if rows else ():
        table.add_column(escape(target), justify="right", no_wrap=True)
    for name, row in zip(names, rows, strict=True):
        numbers = (f"{number:.{SHOWN_DIGITS}g}" for number in row["targets"].values())
        table.add_row(escape(name), *numbers)
    return table


def write_numbers(
    targets: Sequence[str], rows: Sequence[dict[str, Any]], kind: str, path: Path
) -> None:
    """Write the numbers as `.json`, or as `.csv` with a column for each target."""
    if kind == ".json":
        write_text(path, json.dumps(rows, indent=2) + "\n")
        return
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["image", *(f"{PREFIX}{target}" for target in targets)])
    writer.writerows([row["image"], *row["targets"].values()] for row in rows)
    write_text(path, table.getvalue())
