"""Train a detector of objects on photos with boxes, into a run folder."""

from pathlib import Path

from rich.console import Console

from cspdarknet._extras import require
from cspdarknet.data.check import Skipped
from cspdarknet.data.detection.dataset import DetectionSplits
from cspdarknet.data.detection.find import load_detection_dataset
from cspdarknet.data.detection.source import DetectionSource
from cspdarknet.evaluate.detection import evaluate_detector
from cspdarknet.models import YOLOXDetector
from cspdarknet.reports.detection import write_detection_run_report
from cspdarknet.train import distributed
from cspdarknet.train.display import Display
from cspdarknet.train.loop import BEST, Training, check_trained_part
from cspdarknet.train.recipe import DetectionRecipe, load_detection_recipe
from cspdarknet.train.run_folder import RunFolder
from cspdarknet.train.tasks import Detection, Row
from cspdarknet.train.trainer import (
    begin_random,
    check_arguments,
    claimed,
    fit,
    settings_of,
    usable,
)

PROBLEMS = "problems.csv"


def train_detector(
    data: str | Path,
    out: str | Path,
    preset: str | Path = "yolox_nano_bccd",
    recipe: DetectionRecipe | str | Path = "finetune",
    *,
    load_weights: bool | None = None,
    validation_split: float = 0.15,
    on_problem: str = "stop",
    check: bool = True,
    workers: int = 2,
    tensorboard: bool = False,
    console: Console | None = None,
) -> list[Row]:
    """Train a detector; call it again with the same arguments to go on after an interruption.

    Args:
        data: photos with boxes: see `cspdarknet.data.load_detection_dataset`.
        out: the run folder. It holds settings, metrics, the best and the last model as presets,
            pictures, a report, and the state that an interrupted run goes on from.
        preset: the detector or backbone to start from.
        recipe: a `DetectionRecipe`, the name of one (`"finetune"`, `"scratch"`, `"coco"`), or a
            JSON file.
        load_weights: `False` starts from random weights although the preset has trained ones.
        validation_split: share of the photos to validate on, where the data have no such part.
        on_problem: `"stop"` at boxes that cannot be right, or `"fix"` them and list them in the
            run's `problems.csv`.
        check: decode every photo once before the training, and leave out those that are damaged.
        workers: number of threads that read photos.
        tensorboard: write the figures for TensorBoard too.
        console: where progress is shown; `None` for the standard output.

    Returns:
        The figures of each epoch, as in `metrics.csv`.

    Raises:
        ValueError: if the data, the recipe or the folder cannot be used.
        ImportError: if a package for training is missing.

    References:
        The recipes are described in `cspdarknet.train.recipe`.
    """
    console = console or Console()
    recipe = recipe if isinstance(recipe, DetectionRecipe) else load_detection_recipe(recipe)
    require("pycocotools", "detect", "Training a detector")
    check_arguments(data, out, recipe, workers, tensorboard)
    run = RunFolder(out)
    with claimed(run):
        splits = load_detection_dataset(data, validation_split, recipe.seed, on_problem)
        settings = settings_of("detect", data, preset, load_weights, recipe, splits)
        if distributed.is_first_process():
            run.begin(settings)
            _tell_problems(run, splits, console)
        splits = usable(run, splits, check, workers, console)
        training = _training(run, splits, preset, load_weights, recipe, workers, console)
        history = fit(training, tensorboard)
        if distributed.is_first_process():
            _report(run, splits, training, console)
    return history


def _tell_problems(run: RunFolder, splits: DetectionSplits, console: Console) -> None:
    if not splits.problems:
        return
    run.write_skipped([Skipped(p.path, p.what) for p in splits.problems], PROBLEMS)
    console.print(
        f"[yellow]{len(splits.problems)} problems of the annotations were mended:[/] "
        f"see {run.path / PROBLEMS}",
        soft_wrap=True,
    )


def _training(
    run: RunFolder,
    splits: DetectionSplits,
    preset: str | Path,
    load_weights: bool | None,
    recipe: DetectionRecipe,
    workers: int,
    console: Console,
) -> Training:
    """Build the model and everything that the loop needs."""
    distributed.prepare()
    begin_random(recipe.seed)
    model = YOLOXDetector.from_preset(
        preset,
        load_weights,
        num_classes=len(splits.class_names),
        class_names=splits.class_names,
        bounding_box_format="xyxy",
        image_size=recipe.image_size,
        batch_norm_momentum=recipe.batch_norm_momentum,
        dtype=recipe.precision,
    )
    for stage in recipe.stages:
        check_trained_part(model, stage.train)
    run.check_space(4 * model.count_params())
    model.backbone.freeze(None)
    with distributed.on_one_device():
        finished = YOLOXDetector.from_config(model.get_config())
    source = DetectionSource(
        splits.train,
        recipe.augmentation,
        recipe.batch_size,
        recipe.seed,
        recipe.max_boxes,
        workers,
        distributed.process_share(),
    )
    task = Detection(splits.validation)
    display = Display(console, recipe.epochs, task.figures, task.validation_figures)
    return Training(task, model, finished, source, recipe, run, display)


def _report(run: RunFolder, splits: DetectionSplits, training: Training, console: Console) -> None:
    with console.status("writing the report"), distributed.on_one_device():
        best = YOLOXDetector.from_preset(run.path / BEST)
        found = evaluate_detector(best, splits.validation, workers=training.source.workers)
        write_detection_run_report(run, found, training.history)
