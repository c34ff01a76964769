"""`cspdarknet compare`: two models' predictions for the same images, side by side."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cspdarknet._files import OutputFolder
from cspdarknet.cli.data import shown_progress
from cspdarknet.cli.options import (
    ClassNamesOption,
    DeviceOption,
    FormatOption,
    ImageSizeOption,
    OnProblemOption,
    RuntimeOption,
    WorkersOption,
)
from cspdarknet.cli.progress import interruptible
from cspdarknet.cli.results import say
from cspdarknet.cli.tables import plain_table, print_table
from cspdarknet.visualize import JPEG_QUALITY

if TYPE_CHECKING:
    from cspdarknet.analysis import Comparison

MODEL_HELP = "A preset name or folder, a run folder, a weight file, or an exported file."
UNITS = {"classification": "images", "detection": "boxes"}
METRICS = {"accuracy": "accuracy", "map": "mAP", "map50": "mAP50"}
SHEET = "differences.jpg"


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help=MODEL_HELP)],
    b: Annotated[
        str, typer.Argument(metavar="B", help="Another one, for the same task and classes.")
    ],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A dataset as of evaluate: the test split is used, else the validation split, "
            "else all images; or an image.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder for comparison.json, comparison.csv and a picture of the images with "
            "different predictions."
        ),
    ] = None,
    unlabeled: Annotated[
        bool,
        typer.Option(
            "--unlabeled", help="DATA is a folder of images without labels: measure agreement only."
        ),
    ] = False,
    image_size: ImageSizeOption = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Default: 32 for classifiers, 8 for detectors.", min=1)
    ] = None,
    workers: WorkersOption = 2,
    on_problem: OnProblemOption = "fix",
    format: FormatOption = None,
    class_names: ClassNamesOption = None,
    runtime: RuntimeOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Compare two models on the same images: accuracy or mAP, differences, McNemar's test."""
    from cspdarknet.analysis.compare import compare_models

    console = Console()
    folder = None if out is None else OutputFolder(out)
    names = None if class_names is None else [n.strip() for n in class_names.split(",")]
    with interruptible(console), shown_progress(console) as progress:
        comparison = compare_models(
            a,
            b,
            data,
            labels=not unlabeled,
            class_names=names,
            image_size=image_size,
            batch_size=batch_size,
            workers=workers,
            on_problem=on_problem,
            format=format,
            runtime=runtime,
            device=device,
            progress=progress,
        )
    if comparison.contingency is not None:
        print_table(console, _table(comparison))
    for line in _summary(comparison):
        say(console, line)
    for reason in comparison.errors.values():
        say(console, f"left out: {reason}")
    if folder is not None:
        _write(folder, comparison)
        say(console, f"Results: {out}")


def _table(comparison: "Comparison") -> Table:
    from cspdarknet.reports.page import format_metric

    table = plain_table("")
    table.add_column("model", overflow="fold")
    shown = [name for name in METRICS if name in comparison.metrics[0]]
    for name in shown:
        table.add_column(METRICS[name], justify="right", no_wrap=True)
    if "low" in comparison.metrics[0]:
        table.add_column("95 % interval", justify="right", no_wrap=True)
    for key, model, metrics in zip("AB", comparison.names, comparison.metrics, strict=True):
        cells = [format_metric(metrics[name]) for name in shown]
        if "low" in metrics:
            cells.append(f"{metrics['low']:.1%} to {metrics['high']:.1%}")
        table.add_row(key, escape(model), *cells)
    return table


def _summary(comparison: "Comparison") -> list[str]:
    """Return what the models have in common, and where they differ."""
    unit, images = UNITS[comparison.task], len(comparison.paths)
    lines, counts = list(comparison.notes), comparison.contingency
    if counts is not None:
        verb = "classify right" if comparison.task == "classification" else "find"
        lines.append(
            f"Of {sum(vars(counts).values())} {unit} both {verb} {counts.both}, only A "
            f"{counts.only_a}, only B {counts.only_b}, neither {counts.neither}: McNemar's exact "
            f"test p = {counts.p_value:.3g}"
        )
    predictions = "classes" if comparison.task == "classification" else "detections"
    lines.append(
        f"{comparison.agreement:.1%} of the {predictions} agree; {len(comparison.differences)} of "
        f"{images} images have different {predictions}."
    )
    return lines


def _write(folder: OutputFolder, comparison: "Comparison") -> None:
    folder.write_json("comparison.json", comparison.to_json())
    folder.write_text("comparison.csv", comparison.to_csv())
    sheet = comparison.sheet()
    if sheet is not None:
        folder.write(SHEET, lambda file: sheet.save(file, format="JPEG", quality=JPEG_QUALITY))
    else:
        (folder.path / SHEET).unlink(missing_ok=True)  # of an earlier comparison
