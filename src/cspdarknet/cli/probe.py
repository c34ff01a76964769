"""`cspdarknet probe`: which model's vectors suit a dataset."""

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cspdarknet._extras import require
from cspdarknet._files import OutputFolder, user_cache_folder
from cspdarknet.cli.choices import PROBE_METHODS, choice
from cspdarknet.cli.data import shown_progress
from cspdarknet.cli.embed import LevelsOption, LongerSideOption
from cspdarknet.cli.options import (
    DeviceOption,
    FormatOption,
    ImageSizeOption,
    OnProblemOption,
    PrecisionOption,
    RuntimeOption,
    level_names,
)
from cspdarknet.cli.progress import interruptible
from cspdarknet.cli.results import say
from cspdarknet.cli.tables import plain_table, print_table

if TYPE_CHECKING:
    from cspdarknet.analysis import ProbeReport

CACHE = "embeddings"  # in the user's cache folder
BOTH = "both"


def probe(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="Images in a folder per class, a CSV file, or another dataset for classification.",
        ),
    ],
    model: Annotated[
        list[str],
        typer.Option(
            "--model",
            metavar="MODEL",
            help="A model of any task, or an exported backbone. Repeat the option to compare "
            "several.",
        ),
    ],
    shots: Annotated[
        str | None,
        typer.Option(
            metavar="NUMBER,...",
            help="Also train on this many images of each class, such as 1,5,20.",
        ),
    ] = None,
    draws: Annotated[
        int, typer.Option(help="With --shots: random choices of these images to average.", min=1)
    ] = 5,
    method: Annotated[
        str, choice(PROBE_METHODS, help="k nearest neighbors, logistic regression, or both.")
    ] = BOTH,
    out: Annotated[
        Path | None, typer.Option(help="Folder for probe.csv, probe.json and probe.png.")
    ] = None,
    levels: LevelsOption = None,
    image_size: ImageSizeOption = None,
    longer_side: LongerSideOption = None,
    seed: Annotated[int, typer.Option(help="Random seed of all choices.")] = 0,
    cache: Annotated[
        Path | None,
        typer.Option(
            help="Folder that keeps the vectors, so that a repeated probe embeds nothing. Default: "
            "cspdarknet/embeddings in the user's cache folder."
        ),
    ] = None,
    format: FormatOption = None,
    on_problem: OnProblemOption = "raise",
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
    device: DeviceOption = "auto",
) -> None:
    """Compare models by simple classifiers on their vectors: which weights suit my images?

    The test split is evaluated, else the validation split.
    """
    from cspdarknet.analysis.classifiers import METHODS
    from cspdarknet.analysis.probing import probe as run_probe

    folder = None
    if out is not None:
        require("matplotlib", "analysis", "Drawing plots")
        folder = OutputFolder(out)
    console, errors = Console(), Console(stderr=True)
    with (
        interruptible(errors, "Run the same command again to continue."),
        shown_progress(errors) as progress,
    ):
        report = run_probe(
            data,
            model,
            shots=_numbers(shots),
            draws=draws,
            methods=tuple(METHODS) if method == BOTH else (method,),
            seed=seed,
            cache=cache or _user_cache(),
            format=format,
            on_problem=on_problem,
            progress=progress,
            levels=level_names(levels, None),
            image_size=image_size,
            longer_side=longer_side,
            runtime=runtime,
            precision=precision,
            device=device,
        )
    print_table(console, _table(report))
    console.print()
    _say_summary(report, console)
    if folder is not None:
        folder.write_text("probe.csv", report.to_csv())
        folder.write_text("probe.json", json_module.dumps(report.to_json(), indent=2) + "\n")
        folder.write("probe.png", report.draw)
        say(console, f"Results: {out}")


def _numbers(text: str | None) -> list[int]:
    try:
        return [] if text is None else [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(
            f"`--shots` must be numbers of images, such as 1,5,20. Received: {text!r}"
        ) from error


def _user_cache() -> Path | None:
    """Return the folder in the user's cache folder; `None` if it cannot be written."""
    try:
        return OutputFolder(user_cache_folder() / CACHE).path
    except (ValueError, RuntimeError):  # the user may have no home
        return None


def _table(report: "ProbeReport") -> Table:
    table = plain_table()
    table.add_column("model", overflow="fold")
    table.add_column("probe", no_wrap=True)
    for title in ("per class", "accuracy", "95 % interval", "features", "embed s", "fit s"):
        table.add_column(title, justify="right", no_wrap=True)
    for result in report.results:
        table.add_row(
            escape(result.model),
            result.method,
            "all" if result.shots is None else str(result.shots),
            f"{result.accuracy:.1%}",
            f"{result.low:.1%} to {result.high:.1%}",
            str(result.features),
            f"{result.embed_seconds:.1f}",
            f"{result.fit_seconds:.1f}",
        )
    return table


def _say_summary(report: "ProbeReport", console: Console) -> None:
    best = report.best
    say(
        console,
        f"{report.train_images:,} training images, {report.evaluated_images:,} images of the "
        f"{report.split} split, {len(report.class_names)} classes. Best: {best.model}, "
        f"{best.method}, {best.accuracy:.1%}.",
    )
    for reason in report.errors.values():
        say(console, f"left out: {reason}")
