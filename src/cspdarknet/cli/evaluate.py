"""`cspdarknet evaluate`: how good a classifier is on photos with known classes."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table


def evaluate(
    run: Annotated[str, typer.Argument(help="A run folder, a preset directory or a preset name.")],
    data: Annotated[
        Path, typer.Argument(help="Photos by class; the test or validation part is taken.")
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for figures, pictures and a page.")
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(help="Side of the images; that of the training if not given.", min=1),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Photos in a batch.", min=1)] = 32,
    workers: Annotated[int, typer.Option(help="Threads that read photos.", min=1)] = 2,
    last: Annotated[bool, typer.Option(help="The last model of the run, not the best.")] = False,
) -> None:
    """Evaluate a classifier: accuracy with its confidence interval, and a table of classes."""
    from cspdarknet.cli.classifiers import load_classifier, names_of
    from cspdarknet.data.labelled import find_photos_of_classes
    from cspdarknet.evaluate import evaluate as evaluate_classifier
    from cspdarknet.run_folder import SETTINGS, RunFolder

    console = Console()
    folder = RunFolder(out) if out is not None else None
    if folder is not None and (folder.path / SETTINGS).exists():
        raise ValueError(f"{out} is the folder of a training: choose another one.")
    with console.status("loading the model"):
        model = load_classifier(run, "last" if last else "best")
    photos = find_photos_of_classes(data, names_of(model))
    columns = (TextColumn("evaluating"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=len(photos))
        found = evaluate_classifier(
            model,
            photos,
            size=image_size,
            batch_size=batch_size,
            workers=workers,
            advance=lambda count: progress.advance(task, count),
        )
    table = Table()
    for title in ("class", "photos", "precision", "recall", "F1"):
        table.add_column(title, justify="left" if title == "class" else "right")
    for c in found.classes:
        figures = (f"{value:.3f}" for value in (c.precision, c.recall, c.f1))
        table.add_row(escape(c.name), str(c.photos), *figures)
    console.print(table)
    low, high = found.interval
    console.print(
        f"accuracy {found.accuracy:.2%} of {len(found.photos)} photos "
        f"(95 % interval {low:.2%} to {high:.2%}), top 5 {found.top(5):.2%}, loss {found.loss:.4f}",
        highlight=False,
        soft_wrap=True,
    )
    for reason in found.errors.values():
        console.print(f"left out: {reason}", markup=False, soft_wrap=True)
    if folder is not None:
        from cspdarknet.reports.run_report import PAGE, write_evaluation

        write_evaluation(folder, found, f"Evaluation of {run} on {data}")
        page = f"report: {folder.path / PAGE}"
        console.print(page, markup=False, soft_wrap=True, highlight=False)
