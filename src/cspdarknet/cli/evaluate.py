"""`cspdarknet evaluate`: accuracy of a classifier, or mAP of a detector, on annotated images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cspdarknet._files import OutputFolder
from cspdarknet.cli.options import (
    ClassNamesOption,
    FormatOption,
    ImageSizeOption,
    ModelArgument,
    OnProblemOption,
    PrecisionOption,
    RuntimeOption,
    WorkersOption,
    given_class_names,
)
from cspdarknet.cli.progress import progress_bar
from cspdarknet.cli.tables import plain_table, print_table
from cspdarknet.presets.config import BEST, LAST, RUN_SETTINGS

if TYPE_CHECKING:
    from cspdarknet.data import EvaluationSplit
    from cspdarknet.evaluate import ClassificationEvaluation, DetectionEvaluation
    from cspdarknet.inference import Predictor


def evaluate(
    model: ModelArgument,
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="Images in a folder per class, or with boxes. The test split is used, else the "
            "validation split, else all images.",
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for metrics, pictures and an HTML report.")
    ] = None,
    image_size: ImageSizeOption = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Default: 32 for classifiers, 8 for detectors.", min=1),
    ] = None,
    workers: WorkersOption = 2,
    last: Annotated[
        bool, typer.Option(help="Run folders: evaluate the last model instead of the best.")
    ] = False,
    on_problem: OnProblemOption = "fix",
    format: FormatOption = None,
    class_names: ClassNamesOption = None,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
    thresholds: Annotated[
        str | None,
        typer.Option(
            metavar="CRITERION",
            help="Detectors: propose score thresholds: count (as many detections as annotated "
            "objects), f1 (best F1), recall=0.9 or precision=0.9.",
        ),
    ] = None,
    save_thresholds: Annotated[
        bool, typer.Option(help="Store the proposed thresholds in the preset or run folder MODEL.")
    ] = False,
) -> None:
    """Evaluate a classifier (accuracy) or a detector (COCO's mAP).

    Metrics of each class are shown, too.
    """
    from cspdarknet.cli.evaluate_thresholds import preset_to_change, show_thresholds
    from cspdarknet.data import load_classification_split, load_detection_split
    from cspdarknet.evaluate import Criterion, evaluation_predictor
    from cspdarknet.reports import PAGE

    console = Console()
    folder = None if out is None else OutputFolder(out)
    if folder is not None and (folder.path / RUN_SETTINGS).exists():
        raise ValueError(f"{out} is the folder of a training run: choose another one.")
    if thresholds is not None:
        Criterion.parse(thresholds)
    preset = None
    if save_thresholds:
        preset = preset_to_change(model, LAST if last else BEST, thresholds, image_size)
    with console.status("loading the model"):
        predictor = evaluation_predictor(
            model,
            which=LAST if last else BEST,
            batch_size=batch_size,
            runtime=runtime,
            precision=precision,
            image_size=image_size,
            workers=workers,
        )
    names = given_class_names(class_names, predictor.class_names)
    detects = predictor.info.task == "detection"
    if thresholds is not None and not detects:
        raise ValueError(f"`--thresholds` is for detectors. Received: {model}, a classifier.")
    load: Any = load_detection_split if detects else load_classification_split
    split = load(data, names, on_problem, format)
    for note in _notes(model, data, split):
        console.print(note, markup=False, soft_wrap=True, highlight=False)
    evaluation = _evaluate(predictor, split, console)
    for reason in evaluation.errors.values():
        console.print(f"left out: {reason}", markup=False, soft_wrap=True)
    if thresholds is not None:
        show_thresholds(evaluation, thresholds, preset, console)
    if folder is not None:
        which = LAST if last else BEST
        _write_report(folder, evaluation, f"Evaluation of {model} on {data}", model, which)
        page = f"report: {folder.path / PAGE}"
        console.print(page, markup=False, soft_wrap=True, highlight=False)


def _evaluate(predictor: "Predictor", split: "EvaluationSplit[Any]", console: Console) -> Any:
    """Evaluate a model with a progress bar, and print its metrics."""
    from cspdarknet.evaluate import evaluate_classifier, evaluate_detector

    detects = predictor.info.task == "detection"
    run: Any = evaluate_detector if detects else evaluate_classifier
    with progress_bar(console, "evaluating", len(split.dataset)) as advance:
        evaluation = run(predictor, split.dataset, advance=advance)
    (_print_detection if detects else _print_classification)(evaluation, console)
    return evaluation


def _write_report(
    folder: OutputFolder, evaluation: Any, title: str, model: str, which: str
) -> None:
    from cspdarknet.evaluate import DetectionEvaluation, stored_score_threshold
    from cspdarknet.reports import write_classification_report, write_detection_report

    if isinstance(evaluation, DetectionEvaluation):
        threshold = stored_score_threshold(model, which)
        write_detection_report(folder, evaluation, title, score_threshold=threshold)
    else:
        write_classification_report(folder, evaluation, title)


def _notes(model: str, data: Path, split: "EvaluationSplit[Any]") -> list[str]:
    """Return which images are used, and a warning if the model was trained on some of them."""
    from cspdarknet.data.summary import problem_counts
    from cspdarknet.train.run_folder import trained_images

    used = f"all images of {data}" if split.name == "all" else f"the {split.name} split of {data}"
    notes = [f"{len(split.dataset)} images: {used}"]
    if split.problems:
        notes.append(f"problems: {problem_counts(split.problems)}")
    trained = trained_images(model)
    if known := sum(path.resolve() in trained for path in split.dataset.paths):
        notes.append(
            f"Warning: {model} was trained on {known} of these images, so the metrics are too "
            "high. Evaluate it on images that it has not been trained on."
        )
    return notes


def _print_classification(evaluation: "ClassificationEvaluation", console: Console) -> None:
    from cspdarknet.reports.page import format_metric

    table = _table("images", "precision", "recall", "F1")
    for c in evaluation.classes:
        metrics = map(format_metric, (c.precision, c.recall, c.f1))
        table.add_row(escape(c.name), str(c.images), *metrics)
    print_table(console, table)
    low, high = evaluation.interval
    top_5 = f", top-5 accuracy {evaluation.top(5):.2%}" if len(evaluation.classes) > 5 else ""
    console.print(
        f"accuracy {evaluation.accuracy:.2%} of {len(evaluation.dataset)} images (95 % confidence "
        f"interval {low:.2%} to {high:.2%}){top_5}, loss {evaluation.loss:.4f}",
        highlight=False,
        soft_wrap=True,
    )


def _print_detection(evaluation: "DetectionEvaluation", console: Console) -> None:
    from cspdarknet.reports.page import format_metric

    table = _table("boxes", "AP", "AP50", "precision", "recall", "F1")
    for c in evaluation.classes:
        metrics = map(format_metric, (c.ap, c.ap50, c.precision, c.recall, c.f1))
        table.add_row(escape(c.name), str(c.boxes), *metrics)
    print_table(console, table)
    precision = evaluation.average_precision
    areas = (f"{name} {format_metric(value)}" for name, value in precision.map_by_area.items())
    lines = (
        f"mAP {format_metric(precision.map)}, mAP50 {format_metric(precision.map50)}, "
        f"mAP75 {format_metric(precision.map75)}; {evaluation.dataset.counts.sum()} boxes in "
        f"{len(evaluation.dataset)} images",
        f"mAP by box area: {', '.join(areas)}",
        "Precision, recall and F1 are those at the score threshold "
        f"{evaluation.score_threshold:.2f}, which has the best mean F1.",
    )
    for line in lines if precision.map is not None else ("No image has a ground-truth box.",):
        console.print(line, highlight=False, soft_wrap=True)


def _table(*titles: str) -> Table:
    table = plain_table()
    table.add_column("class", overflow="fold")
    for title in titles:
        table.add_column(title, justify="right", no_wrap=True)
    return table
