"""`cspdarknet evaluate`: how good a model is on photos with known classes or boxes."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

if TYPE_CHECKING:
    from cspdarknet.data.detection.find import EvaluationSplit
    from cspdarknet.evaluate import ClassificationEvaluation
    from cspdarknet.evaluate.detection import DetectionEvaluation
    from cspdarknet.train.run_folder import RunFolder


def evaluate(
    run: Annotated[str, typer.Argument(help="A run folder, a preset directory or a preset name.")],
    data: Annotated[
        Path,
        typer.Argument(help="Photos by class or with boxes; the test or validation part is taken."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for figures, pictures and a page.")
    ] = None,
    image_size: Annotated[
        int | None,
        typer.Option(help="Side of the images; that of the training if not given.", min=1),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Photos in a batch; 32 for classifiers, 8 for detectors.", min=1),
    ] = None,
    workers: Annotated[int, typer.Option(help="Threads that read photos.", min=1)] = 2,
    last: Annotated[bool, typer.Option(help="The last model of the run, not the best.")] = False,
    on_problem: Annotated[
        str, typer.Option(help="At boxes that cannot be right: stop, or fix to leave them out.")
    ] = "stop",
) -> None:
    """Evaluate a classifier (its accuracy) or a detector (COCO's mAP), with a table of classes."""
    from cspdarknet.cli.options import is_detector
    from cspdarknet.reports.page import PAGE
    from cspdarknet.train.run_folder import SETTINGS, RunFolder

    console = Console()
    folder = RunFolder(out) if out is not None else None
    if folder is not None and (folder.path / SETTINGS).exists():
        raise ValueError(f"{out} is the folder of a training: choose another one.")
    which = "last" if last else "best"
    with console.status("loading the model"):
        job = (
            _detection(run, which, data, on_problem, image_size, batch_size or 8)
            if is_detector(run, which)
            else _classification(run, which, data, image_size, batch_size or 32)
        )
    for note in job.notes:
        console.print(note, markup=False, soft_wrap=True, highlight=False)
    with _progress(console, job.photos) as advance:
        found = job.judge(workers=workers, advance=advance)
    job.show(found, console)
    for reason in found.errors.values():
        console.print(f"left out: {reason}", markup=False, soft_wrap=True)
    if folder is not None:
        job.write(folder, found, f"Evaluation of {run} on {data}")
        page = f"report: {folder.path / PAGE}"
        console.print(page, markup=False, soft_wrap=True, highlight=False)


class Job(NamedTuple):
    """What is different for the kinds of models: how to judge one, and to show the result."""

    photos: int
    judge: Callable[..., Any]
    show: Callable[[Any, Console], None]
    write: Callable[["RunFolder", Any, str], None]
    notes: Sequence[str] = ()


def _classification(run: str, which: str, data: Path, size: int | None, batch_size: int) -> Job:
    from cspdarknet.cli.options import load_classifier, names_of
    from cspdarknet.data.classification.dataset import load_classification_split
    from cspdarknet.evaluate import evaluate as judge
    from cspdarknet.reports.classification import write_evaluation

    model = load_classifier(run, which)
    photos = load_classification_split(data, names_of(model))
    judge_it = partial(judge, model, photos, size=size, batch_size=batch_size)
    return Job(len(photos), judge_it, show_classifier, write_evaluation)


def _detection(
    run: str, which: str, data: Path, on_problem: str, size: int | None, batch_size: int
) -> Job:
    from cspdarknet.cli.options import load_detector, names_of
    from cspdarknet.data.detection.find import load_detection_split
    from cspdarknet.evaluate.detection import evaluate_detector as judge
    from cspdarknet.reports.detection import write_detection_evaluation

    model = load_detector(run, which)
    part = load_detection_split(data, names_of(model), on_problem)
    judge_it = partial(judge, model, part.photos, image_size=size, batch_size=batch_size)
    notes = _notes(run, data, part)
    return Job(len(part.photos), judge_it, show_detector, write_detection_evaluation, notes)


def _notes(run: str, data: Path, part: "EvaluationSplit") -> list[str]:
    """Tell which photos were taken, and what speaks against trusting their figures."""
    from cspdarknet.train.run_folder import SETTINGS

    everything = part.name == "all"
    which = f"all photos of {data}" if everything else f"the {part.name} part of {data}"
    notes = [f"{len(part.photos)} photos: {which}"]
    if part.problems:
        notes.append(f"{len(part.problems)} problems of the annotations were mended")
    settings = Path(run) / SETTINGS
    if everything and settings.is_file():
        trained_on = json.loads(settings.read_text(encoding="utf-8")).get("data", "")
        if Path(trained_on).resolve() == data.resolve():
            notes.append(
                f"Warning: photos that {run} was trained on are among them, so that the figures "
                "are too good. Judge it on photos that were kept apart."
            )
    return notes


@contextmanager
def _progress(console: Console, total: int) -> Iterator[Callable[[int], None]]:
    columns = (TextColumn("evaluating"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("", total=total)
        yield lambda count: progress.advance(task, count)


def show_classifier(found: "ClassificationEvaluation", console: Console) -> None:
    """Print the figures of a classifier."""
    table = _table("photos", "precision", "recall", "F1")
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


def show_detector(found: "DetectionEvaluation", console: Console) -> None:
    """Print the figures of a detector."""
    from cspdarknet.reports.page import figure

    table = _table("boxes", "AP", "AP50", "precision", "recall", "F1")
    for c in found.classes:
        shares = map(figure, (c.ap, c.ap50, c.precision, c.recall, c.f1))
        table.add_row(escape(c.name), str(c.boxes), *shares)
    console.print(table)
    figures = found.average_precision
    lines = (
        f"mAP {figure(figures.map)}, at an overlap of 0.5 {figure(figures.map50)}, "
        f"of 0.75 {figure(figures.map75)}; {found.photos.counts.sum()} boxes in "
        f"{len(found.photos)} photos",
        "by size of the boxes: "
        + ", ".join(f"{name} {figure(value)}" for name, value in figures.map_by_area.items()),
        f"precision, recall and F1 are those at the score threshold {found.score_threshold:.2f}, "
        "which gives the best mean F1",
    )
    for line in lines if figures.map is not None else ("No photo has a box to find.",):
        console.print(line, highlight=False, soft_wrap=True)


def _table(*titles: str) -> Table:
    table = Table("class")
    for title in titles:
        table.add_column(title, justify="right")
    return table
