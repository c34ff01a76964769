"""`cspdarknet evaluate`: metrics of a model on annotated images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cspdarknet._files import OutputFolder
from cspdarknet._labels import MULTI
from cspdarknet.cli.evaluate_regression import print_regression
from cspdarknet.cli.options import (
    AugmentOption,
    ClassAgnosticNMSOption,
    ClassesOption,
    DeviceOption,
    FormatOption,
    ImageSizeOption,
    MaxDetectionsPerClassOption,
    ModelArgument,
    OnProblemOption,
    OverlapOption,
    PrecisionOption,
    RuntimeOption,
    TileOption,
    WithWholeOption,
    WorkersOption,
    detection_options,
    given_class_names,
    given_tiles,
)
from cspdarknet.cli.progress import progress_bar
from cspdarknet.cli.results import say
from cspdarknet.cli.tables import plain_table, print_table
from cspdarknet.presets.config import BEST, LAST, RUN_SETTINGS

if TYPE_CHECKING:
    from cspdarknet.data import EvaluationSplit
    from cspdarknet.evaluate import ClassificationEvaluation, DetectionEvaluation
    from cspdarknet.inference import Predictor
    from cspdarknet.model_info import ModelInfo
    from cspdarknet.score_thresholds import ScoreThreshold


def evaluate(
    model: ModelArgument,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATA",
            help="Images in a folder per class, with boxes, or with numbers. The test split is "
            "used, else the validation split, else all images.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for metrics, pictures and an HTML report.")
    ] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="JSON file of detections in COCO's form, of any tool, which is evaluated in place "
            "of MODEL: give DATA alone.",
        ),
    ] = None,
    coco_annotations: Annotated[
        Path | None,
        typer.Option(
            help="COCO file whose ids of images and categories --predictions has. Default: that "
            "in DATA."
        ),
    ] = None,
    image_size: ImageSizeOption = None,
    tile: TileOption = None,
    overlap: OverlapOption = None,
    with_whole: WithWholeOption = False,
    augment: AugmentOption = False,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Default: 32; 8 for detectors.", min=1),
    ] = None,
    workers: WorkersOption = 2,
    last: Annotated[
        bool, typer.Option(help="Run folders: evaluate the last model instead of the best.")
    ] = False,
    on_problem: OnProblemOption = "fix",
    format: FormatOption = None,
    class_names: Annotated[
        str | None,
        typer.Option(
            help="Names of the model's classes in the order of their ids, such as cat,dog, if the "
            "model has none. With --predictions: the categories by id, such as 1=cat,2=dog."
        ),
    ] = None,
    classes: ClassesOption = None,
    class_agnostic_nms: ClassAgnosticNMSOption = None,
    max_detections_per_class: MaxDetectionsPerClassOption = None,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
    device: DeviceOption = "auto",
    thresholds: Annotated[
        str | None,
        typer.Option(
            metavar="CRITERION",
            help="Detectors and multi-label classifiers: propose score thresholds: count (as many "
            "detections as annotated objects), f1 (best F1), recall=0.9 or precision=0.9.",
        ),
    ] = None,
    save_thresholds: Annotated[
        bool, typer.Option(help="Store the proposed thresholds in the preset or run folder MODEL.")
    ] = False,
    calibrate: Annotated[
        bool,
        typer.Option(
            help="Classifiers: fit a temperature on the images, and show the calibration error "
            "before and after."
        ),
    ] = False,
    save_temperature: Annotated[
        bool,
        typer.Option(
            help="Store the temperature of --calibrate in the preset or run folder MODEL."
        ),
    ] = False,
) -> None:
    """Evaluate a classifier (accuracy), regressor (errors), detector or file of detections (mAP).

    Metrics of each class or target are shown.
    """
    from cspdarknet.cli.evaluate_calibration import calibrated_preset, show_calibration
    from cspdarknet.cli.evaluate_predictions import data_of_file, evaluate_file
    from cspdarknet.cli.evaluate_thresholds import preset_to_change, show_thresholds
    from cspdarknet.evaluate import Criterion, evaluation_predictor, stored_score_threshold

    console = Console()
    folder = _report_folder(out)
    if thresholds is not None:
        Criterion.parse(thresholds)
    tiles = given_tiles(tile, overlap, with_whole)
    which, preset, limits = LAST if last else BEST, None, None
    if predictions is not None:
        subject, data = str(predictions), data_of_file(model, data)
        evaluation: Any = evaluate_file(
            predictions,
            data,
            console,
            coco_annotations=coco_annotations,
            class_names=class_names,
            on_problem=on_problem,
            format=format,
            unfit={
                **{"--image-size": image_size, "--batch-size": batch_size, "--runtime": runtime},
                **{"--last": last, "--save-thresholds": save_thresholds, "--augment": augment},
                **{"--class-agnostic-nms": class_agnostic_nms is not None},
                **{"--max-detections-per-class": max_detections_per_class, "--tile": tile},
                **{"--calibrate": calibrate, "--save-temperature": save_temperature},
            },
        )
    else:
        subject, data = model, _data_of_model(model, data, coco_annotations)
        if save_thresholds:
            preset = preset_to_change(model, which, thresholds, image_size, classes)
        if save_temperature:
            preset = calibrated_preset(model, which, calibrate, image_size, augment)
        settings: dict[str, Any] = {
            **{"batch_size": batch_size, "runtime": runtime, "precision": precision},
            **{"device": device, "image_size": image_size, "workers": workers, **tiles},
            "augment": augment,
            "options": detection_options(
                classes=classes,
                class_agnostic_nms=class_agnostic_nms,
                max_detections_per_class=max_detections_per_class,
            ),
        }
        with console.status("loading the model"):
            predictor = evaluation_predictor(model, which=which, **settings)
        info = predictor.info
        _check_options(model, info, calibrate, thresholds, classes)
        limits = stored_score_threshold(model, which) if info.task == "detection" else None
        names = _names_in_data(info, class_names)
        evaluation = _evaluate(model, predictor, (data, names, on_problem, format), console)
    evaluation = _refined(evaluation, classes, calibrate)
    _print(evaluation, console)
    if thresholds is not None:
        show_thresholds(evaluation, thresholds, preset, console)
    if calibrate:
        show_calibration(evaluation.calibration, len(evaluation.dataset), preset, console)
    if folder is not None:
        page = _write_report(folder, evaluation, f"Evaluation of {subject} on {data}", limits)
        say(console, f"report: {page}")


def _names_in_data(info: "ModelInfo", class_names: str | None) -> tuple[str, ...]:
    """Return the names of the classes or targets of a model, in the order of its outputs."""
    if info.targets is None:
        return given_class_names(class_names, info.class_names or ())
    if class_names is not None:
        raise ValueError(
            f"`--class-names` is for classes: leave it out. Received: {class_names}, and a model "
            f"of the targets {', '.join(info.targets)}"
        )
    return info.targets


def _report_folder(out: Path | None) -> OutputFolder | None:
    folder = None if out is None else OutputFolder(out)
    if folder is not None and (folder.path / RUN_SETTINGS).exists():
        raise ValueError(f"{out} is the folder of a training run: choose another one.")
    return folder


def _check_options(
    model: str, info: "ModelInfo", calibrate: bool, thresholds: str | None, classes: str | None
) -> None:
    """Refuse options of another task, or of another kind of labels.

    Args:
        model: the argument MODEL.
        info: its metadata.
        calibrate: the option `--calibrate`.
        thresholds: the option `--thresholds`.
        classes: the option `--classes`.
    """
    is_multi_label = info.labels == MULTI
    received = f"Received: {model}, for {'multi-label ' if is_multi_label else ''}{info.task}"
    if calibrate and (info.task != "classification" or is_multi_label):
        raise ValueError(f"`--calibrate` is for classifiers with one class per image. {received}.")
    if classes is not None and info.task != "detection":
        raise ValueError(f"`--classes` is for detectors. {received}.")
    if thresholds is not None and not (info.task == "detection" or is_multi_label):
        raise ValueError(
            f"`--thresholds` is for detectors and multi-label classifiers. {received}."
        )


def _evaluate(model: str, predictor: "Predictor", source: tuple[Any, ...], console: Console) -> Any:
    """Evaluate a model with a progress bar.

    Args:
        model: the argument MODEL.
        predictor: its predictor.
        source: dataset, class names, `on_problem` and format.
        console: the console for messages.
    """
    from cspdarknet import data, evaluate

    steps: dict[str, tuple[Any, Any]] = {
        "classification": (data.load_classification_split, evaluate.evaluate_classifier),
        "detection": (data.load_detection_split, evaluate.evaluate_detector),
        "regression": (data.load_regression_split, evaluate.evaluate_regressor),
    }
    load, run = steps[predictor.info.task]
    kind = {"labels": predictor.info.labels} if predictor.info.task == "classification" else {}
    split = load(*source, **kind)
    for note in _notes(model, source[0], split):
        say(console, note)
    with progress_bar(console, "evaluating", len(split.dataset)) as advance:
        return run(predictor, split.dataset, advance=advance)


def _refined(evaluation: Any, classes: str | None, calibrate: bool) -> Any:
    """Return an evaluation of some classes only, or with a temperature, as the options say."""
    if classes is not None:
        evaluation = evaluation.of_classes([name.strip() for name in classes.split(",")])
    return evaluation.calibrated() if calibrate else evaluation


def _data_of_model(model: str, data: Path | None, coco_annotations: Path | None) -> Path:
    """Return DATA, which the evaluation of a model needs."""
    if data is None:
        raise ValueError(
            "`evaluate` needs MODEL and DATA, or DATA and `--predictions FILE`. "
            f"Received: {model} alone."
        )
    if coco_annotations is not None:
        raise ValueError(
            "`--coco-annotations` is for `--predictions`. "
            f"Received: {coco_annotations} for the model {model}: leave it out."
        )
    return data


def _print(evaluation: Any, console: Console) -> None:
    from cspdarknet.cli.evaluate_multi_label import print_multi_label
    from cspdarknet.evaluate import (
        DetectionEvaluation,
        MultiLabelEvaluation,
        RegressionEvaluation,
    )

    if isinstance(evaluation, DetectionEvaluation):
        _print_detection(evaluation, console)
    elif isinstance(evaluation, MultiLabelEvaluation):
        print_multi_label(evaluation, console)
    elif isinstance(evaluation, RegressionEvaluation):
        print_regression(evaluation, console)
    else:
        _print_classification(evaluation, console)
    for reason in evaluation.errors.values():
        say(console, f"left out: {reason}")


def _write_report(
    folder: OutputFolder, evaluation: Any, title: str, limits: "ScoreThreshold | None"
) -> Path:
    """Write the report of an evaluation, and return the path of its page."""
    from cspdarknet import reports
    from cspdarknet.evaluate import DetectionEvaluation, RegressionEvaluation

    if isinstance(evaluation, DetectionEvaluation):
        reports.write_detection_report(folder, evaluation, title, score_threshold=limits)
    elif isinstance(evaluation, RegressionEvaluation):
        reports.write_regression_report(folder, evaluation, title)
    else:
        reports.write_classification_report(folder, evaluation, title)
    return folder.path / reports.PAGE


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
    from cspdarknet.evaluate import OrdinalEvaluation
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
    if isinstance(evaluation, OrdinalEvaluation):
        say(console, evaluation.ranks)


def _print_detection(evaluation: "DetectionEvaluation", console: Console) -> None:
    from cspdarknet.reports.page import format_metric

    table = _table("boxes", "AP", "AP50", "precision", "recall", "F1")
    for c in evaluation.chosen_classes:
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
