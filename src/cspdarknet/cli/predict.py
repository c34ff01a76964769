"""`cspdarknet predict`: classes of images, or numbers."""

import csv as csv_module
import io
import json as json_module
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
from cspdarknet.cli.predict_numbers import (
    NUMBERS_START,
    numbers_row,
    numbers_table,
    write_numbers,
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

if TYPE_CHECKING:
    from cspdarknet.model_info import ModelInfo

TOP = 3  # classes of an image, where it has one
NO_CLASS = {"name": "no class"}
CSV_HEADER = ("image", "rank", "class", "probability")
# How the files begin, by which an earlier result is told from other files.
STARTS = {".json": ('[\n  {\n    "image": ', "[]"), ".csv": (",".join(CSV_HEADER), NUMBERS_START)}


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
    top: Annotated[
        int | None,
        typer.Option(
            help="Number of classes to show per image. Default: 3; of multi-label classifiers all "
            "classes that reach their score thresholds.",
            min=1,
        ),
    ] = None,
    image_size: ImageSizeOption = None,
    augment: AugmentOption = False,
    batch_size: BatchSizeOption = 8,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
    device: DeviceOption = "auto",
    engine: EngineOption = "local",
) -> None:
    """Predict images: the most probable classes of each, or the numbers of a regressor."""
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
        run_on_engine(_task(model), model, images, out, unfit, **settings)
        return
    outputs = _outputs(json, csv, None if out is None else Path(out))
    console = message_console(json, csv)
    files = [file for source in images for file in find_images(source)]
    with console.status("loading the model"):
        predictor = load_predictor(
            model,
            "classification",
            "regression",
            mode="throughput",
            batch_size=min(batch_size, len(files)),
            **settings,
        )
    targets = predictor.info.targets
    rows: list[dict[str, Any]] = []
    shown: list[str] = []
    failures: list[str] = []
    with (
        interruptible(console),
        progress_bar(console, "predicting", len(files)) as advance,
        closing(predictor.stream(file.path for file in files)) as results,
    ):
        for file, (path, result) in zip(files, results, strict=True):
            if isinstance(result, ImageError):
                failures.append(str(result))
            else:
                shown.append(str(file.key))
                rows.append(
                    _row(path, result, predictor.info, top)
                    if targets is None
                    else numbers_row(path, result, targets)
                )
            advance(1)
    several = "and" if predictor.info.labels == "multi" else "or"
    table = partial(_table, several) if targets is None else numbers_table
    print_table(console, table(shown, rows))
    write = _write if targets is None else partial(write_numbers, targets)
    write_results(
        console, "Results", [(path, partial(write, rows, kind)) for path, kind in outputs]
    )
    report_failures(console, failures)


def _task(model: str) -> str:
    """Return the task of a model, by its metadata or config."""
    from cspdarknet.model_info import is_exported_file, read_model_info
    from cspdarknet.presets.sources import locate

    stored = read_model_info(model) if is_exported_file(model) else locate(model).config
    return "regression" if stored is not None and stored.task == "regression" else "classification"


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
    path: Path, probabilities: np.ndarray, info: "ModelInfo", top: int | None
) -> dict[str, Any]:
    from cspdarknet.inference.classes import predicted_classes

    names = info.class_names or ()
    return {
        "image": str(path),
        "classes": [
            {"name": names[i], "probability": float(probabilities[i])}
            for i in predicted_classes(probabilities, info, top, TOP)
        ],
    }


def _table(several: str, names: list[str], rows: list[dict[str, Any]]) -> Table:
    """Return a table of the images.

    Args:
        several: the title of the column of further classes: "or", or "and" of a multi-label model.
        names: names of the images.
        rows: their classes.
    """
    table = plain_table()
    table.add_column("image", overflow="fold")
    table.add_column("class", no_wrap=True)
    table.add_column("probability", justify="right", no_wrap=True)
    table.add_column(several, overflow="fold")
    for name, row in zip(names, rows, strict=True):
        first, *others = row["classes"] or [NO_CLASS]
        rest = ", ".join(f"{c['name']} {c['probability']:.0%}" for c in others)
        probability = f"{first['probability']:.1%}" if row["classes"] else ""
        cells = (name, first["name"], probability, rest)
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
        if not row["classes"]:
            writer.writerow([row["image"], "", "", ""])
    write_text(path, table.getvalue())
