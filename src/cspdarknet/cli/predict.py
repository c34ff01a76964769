"""`cspdarknet predict`: what is in a photo."""

import csv
import io
import json
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from cspdarknet._files import write_whole
from cspdarknet.cli.options import PrecisionOption, RuntimeOption
from cspdarknet.images import ImageError


def predict(
    run: Annotated[
        str,
        typer.Argument(help="A run folder, a preset directory or name, or an exported file."),
    ],
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders of photos.")],
    out: Annotated[Path | None, typer.Option(help="A .csv or .json file for the results.")] = None,
    top: Annotated[int, typer.Option(help="How many classes to show of each photo.", min=1)] = 3,
    image_size: Annotated[
        int | None,
        typer.Option(help="Side of the images; that of the training if not given.", min=1),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Photos in a batch.", min=1)] = 8,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
) -> None:
    """Classify photos."""
    from cspdarknet.cli.options import load_predictor
    from cspdarknet.images import find_images

    if out is not None and not out.parent.is_dir():
        raise ValueError(f"There is no folder {out.parent} for the results.")
    if out is not None and out.suffix not in (".csv", ".json"):
        raise ValueError(f"The results go to a .csv or .json file. Received: {out}")
    console = Console()
    listed = [photo for source in photos for photo in find_images(source)]
    with console.status("loading the model"):
        predictor, names = load_predictor(
            run,
            "classes",
            runtime,
            precision=precision,
            mode="throughput",
            image_size=image_size,
            batch_size=min(batch_size, len(listed)),
        )
    keys: list[str] = []
    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    columns = (TextColumn("classifying"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(listed))
        results = predictor.stream(photo.path for photo in listed)
        for photo, (path, result) in zip(listed, results, strict=True):
            if isinstance(result, ImageError):
                failures.append(str(result))
            else:
                keys.append(str(photo.key))
                rows.append(_row(path, result, names, top))
            progress.advance(task)
    console.print(_table(keys, rows))
    if out is not None:
        _write(out, rows)
    for reason in failures:
        console.print(f"[bold red]left out:[/] {escape(reason)}", soft_wrap=True, highlight=False)
    if failures:
        raise typer.Exit(1)


def _row(path: Path, probabilities: np.ndarray, names: tuple[str, ...], top: int) -> dict[str, Any]:
    likeliest = np.argsort(-probabilities, kind="stable")[:top]
    return {
        "photo": str(path),
        "classes": [{"name": names[i], "probability": float(probabilities[i])} for i in likeliest],
    }


def _table(keys: list[str], rows: list[dict[str, Any]]) -> Table:
    table = Table("photo", "class", "probability", "or")
    table.columns[0].overflow = "fold"
    for key, row in zip(keys, rows, strict=True):
        first, *others = row["classes"]
        rest = ", ".join(f"{c['name']} {c['probability']:.0%}" for c in others)
        cells = (key, first["name"], f"{first['probability']:.1%}", rest)
        table.add_row(*map(escape, cells))
    return table


def _write(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".json":
        text = json.dumps(rows, indent=2) + "\n"
    else:
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["photo", "rank", "class", "probability"])
        for row in rows:
            for rank, c in enumerate(row["classes"], 1):
                writer.writerow([row["photo"], rank, c["name"], f"{c['probability']:.6f}"])
        text = table.getvalue()
    write_whole(
        path, lambda part: part.write_text(text, encoding="utf-8", errors="surrogateescape")
    )
