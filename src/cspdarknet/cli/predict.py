"""`cspdarknet predict`: classification of images."""

import csv as csv_module
import io
import json as json_module
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.markup import escape
from rich.table import Table

from cspdarknet._files import write_text
from cspdarknet.cli.engine import RAY, EngineOption, run_on_engine
from cspdarknet.cli.options import (
    AugmentOption,
    BatchSizeOption,
    DeviceOption,
    ImagesArgument,
    ImageSizeOption,
    ModelArgument,
    PrecisionOption,
    RuntimeOption,
    load_predictor,
)
from cspdarknet.cli.progress import interruptible, progress_bar, report_failures
from cspdarknet.cli.results import (
    ResultsFile,
    check_results_files,
    message_console,
    write_results,
)
from cspdarknet.cli.tables import plain_table, print_table
from cspdarknet.images import ImageError, find_images

CSV_HEADER = ("image", "rank", "class", "probability")
# How the files begin, by which an earlier result is told from other files.
STARTS = {".json": ('[\n  {\n    "image": ', "[]"), ".csv": (",".join(CSV_HEADER),)}


def predict(
    model: ModelArgument,
    images: ImagesArgument,
    json: Annotated[
        Path | None,
        typer.Option(help="File for the results, as JSON; - for the standard output."),
    ] = None,
    csv: Annotated[
        Path | None, typer.Option(help="File for the results, as CSV; - for the standard output.")
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            help="File for the results; .json or .csv decides the format. With --engine ray: the "
            "folder or URL for the results."
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="Number of classes to show per image.", min=1)] = 3,
    image_size: ImageSizeOption = None,
    augment: AugmentOption = False,
    batch_size: BatchSizeOption = 8,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
    device: DeviceOption = "auto",
    engine: EngineOption = "local",
) -> None:
    """Classify images: the most probable classes of each."""
    settings: dict[str, Any] = {
        "image_size": image_size,
        "runtime": runtime,
        "precision": precision,
        "device": device,
        **({"augment": True} if augment else {}),
    }
    if engine == RAY:
        unfit = {"--json": json, "--csv": csv}
        settings |= {"top": top, "batch_size": batch_size}
        run_on_engine("classification", model, images, out, unfit, **settings)
        return
    outputs = _outputs(json, csv, None if out is None else Path(out))
    console = message_console(json, csv)
    files = [file for source in images for file in find_images(source)]
    with console.status("loading the model"):
        predictor = load_predictor(
            model,
            "classification",
            mode="throughput",
            batch_size=min(batch_size, len(files)),
            **settings,
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
    print_table(console, _table(shown, rows))
    write_results(
        console, "Results", [(path, partial(_write, rows, kind)) for path, kind in outputs]
    )
    report_failures(console, failures)


def _outputs(json: Path | None, csv: Path | None, out: Path | None) -> list[tuple[Path, str]]:
    """Return the files for results and their kinds, `.json` or `.csv`.

    Raises:
        ValueError: if a file cannot be written, or `--out` has another suffix.
    """
    if out is not None and out.suffix not in STARTS:
        raise ValueError(
            "`--out` must end in .csv or .json; the standard output is `--csv -` or `--json -`. "
            f"Received: {out}"
        )
    kind = "" if out is None else out.suffix
    given = [("--json", json, ".json"), ("--csv", csv, ".csv"), ("--out", out, kind)]
    files = [(option, path, kind) for option, path, kind in given if path is not None]
    check_results_files(*(ResultsFile(option, path, STARTS[kind]) for option, path, kind in files))
    return [(path, kind) for _, path, kind in files]


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
    table = plain_table()
    table.add_column("image", overflow="fold")
    table.add_column("class", no_wrap=True)
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column("or", overflow="fold")
    for name, row in zip(names, rows, strict=True):
        first, *others = row["classes"]
        rest = ", ".join(f"{c['name']} {c['probability']:.0%}" for c in others)
        cells = (name, first["name"], f"{first['probability']:.1%}", rest)
        table.add_row(*map(escape, cells))
    return table


def _write(rows: list[dict[str, Any]], kind: str, path: Path) -> None:
    """Write the results as `.json` or `.csv`."""
    if kind == ".json":
        write_text(path, json_module.dumps(rows, indent=2) + "\n")
        return
    table = io.StringIO()
    writer = csv_module.writer(table, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for row in rows:
        for rank, c in enumerate(row["classes"], 1):
            writer.writerow([row["image"], rank, c["name"], f"{c['probability']:.6f}"])
    write_text(path, table.getvalue())
