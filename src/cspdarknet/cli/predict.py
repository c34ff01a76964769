"""`cspdarknet predict`: classification of images."""

import csv
import io
import json
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cspdarknet._files import write_whole
from cspdarknet.cli.options import (
    BatchSizeOption,
    ImagesArgument,
    ImageSizeOption,
    ModelArgument,
    PrecisionOption,
    RuntimeOption,
    check_results_file,
    load_predictor,
)
from cspdarknet.cli.progress import interruptible, progress_bar, report_failures
from cspdarknet.images import ImageError, find_images


def predict(
    model: ModelArgument,
    images: ImagesArgument,
    out: Annotated[Path | None, typer.Option(help="A .csv or .json file for the results.")] = None,
    top: Annotated[int, typer.Option(help="Number of classes to show per image.", min=1)] = 3,
    image_size: ImageSizeOption = None,
    batch_size: BatchSizeOption = 8,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
) -> None:
    """Classify images: the most probable classes of each."""
    check_results_file(out, ".csv", ".json")
    console = Console()
    files = [file for source in images for file in find_images(source)]
    with console.status("loading the model"):
        predictor = load_predictor(
            model,
            "classification",
            runtime=runtime,
            precision=precision,
            mode="throughput",
            image_size=image_size,
            batch_size=min(batch_size, len(files)),
        )
    rows: list[dict[str, Any]] = []
    shown: list[str] = []
    failures: list[str] = []
    with (
        interruptible(console),
        progress_bar(console, "classifying", len(files)) as advance,
        closing(predictor.stream(file.path for file in files)) as results,
    ):
        for file, (path, result) in zip(files, results, strict=True):
            if isinstance(result, ImageError):
                failures.append(str(result))
            else:
                shown.append(str(file.key))
                rows.append(_row(path, result, predictor.class_names, top))
            advance(1)
    console.print(_table(shown, rows))
    if out is not None:
        _write(out, rows)
    report_failures(console, failures)


def _row(
    path: Path, probabilities: np.ndarray, class_names: tuple[str, ...], top: int
) -> dict[str, Any]:
    order = np.argsort(-probabilities, kind="stable")[:top]
    return {
        "image": str(path),
        "classes": [
            {"name": class_names[i], "probability": float(probabilities[i])} for i in order
        ],
    }


def _table(names: list[str], rows: list[dict[str, Any]]) -> Table:
    table = Table("image", "class", "probability", "or")
    table.columns[0].overflow = "fold"
    for name, row in zip(names, rows, strict=True):
        first, *others = row["classes"]
        rest = ", ".join(f"{c['name']} {c['probability']:.0%}" for c in others)
        cells = (name, first["name"], f"{first['probability']:.1%}", rest)
        table.add_row(*map(escape, cells))
    return table


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".json":
        text = json.dumps(rows, indent=2) + "\n"
    else:
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["image", "rank", "class", "probability"])
        for row in rows:
            for rank, c in enumerate(row["classes"], 1):
                writer.writerow([row["image"], rank, c["name"], f"{c['probability']:.6f}"])
        text = table.getvalue()
    write_whole(
        path, lambda part: part.write_text(text, encoding="utf-8", errors="surrogateescape")
    )
