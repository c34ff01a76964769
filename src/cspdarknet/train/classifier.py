"""Train an image classifier on a folder of photos, into a run folder."""

import contextlib
import dataclasses
import importlib.metadata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cspdarknet._extras import require
from cspdarknet.data.check import Skipped, check_photos
from cspdarknet.data.labelled import LabelledPhotos, Splits, find_labelled_photos
from cspdarknet.data.pipeline import TrainingSource
from cspdarknet.models import ImageClassifier
from cspdarknet.reports.run_report import write_run_report
from cspdarknet.run_folder import SKIPPED, RunFolder
from cspdarknet.train import distributed
from cspdarknet.train.display import Display
from cspdarknet.train.loop import BEST, Training, check_trained_part
from cspdarknet.train.recipe import Recipe, load_recipe

Row = dict[str, Any]


def train_classifier(
    data: str | Path,
    out: str | Path,
    preset: str | Path = "csp_darknet_tiny",
    recipe: Recipe | str | Path = "finetune",
    *,
    load_weights: bool | None = None,
    validation_share: float = 0.15,
    check: bool = True,
    workers: int = 2,
    tensorboard: bool = False,
    console: Console | None = None,
) -> list[Row]:
    """Train a classifier; call it again with the same arguments to go on after an interruption.

    Args:
        data: photos by class: see `cspdarknet.data.find_labelled_photos`.
        out: the run folder. It holds settings, metrics, the best and the last model as presets,
            pictures, a report, and the state that an interrupted run goes on from.
        preset: the backbone or classifier to start from.
        recipe: a `Recipe`, the name of one (`"finetune"`, `"scratch"`, `"imagenet"`), or a JSON
            file.
        load_weights: `False` starts from random weights although the preset has trained ones.
        validation_share: share of each class to validate on, where the data have no such part.
        check: decode every photo once before the training, and leave out those that are damaged.
        workers: number of threads that read photos.
        tensorboard: write the figures for TensorBoard too.
        console: where progress is shown; `None` for the standard output.

    Returns:
        The figures of each epoch, as in `metrics.csv`.

    Raises:
        ValueError: if the data, the recipe or the folder cannot be used.
        ImportError: if a package for training is missing.

    Example:
        >>> from cspdarknet.train import RECIPES, customize
        >>> for name in ("cat/1", "cat/2", "dog/1", "dog/2"):
        ...     path = Path(f"pets/{name}.png")
        ...     path.parent.mkdir(parents=True, exist_ok=True)
        ...     Image.new("RGB", (48, 48), "navy").save(path)
        >>> recipe = customize(RECIPES["scratch"], epochs=3, image_size=32, batch_size=2)
        >>> history = train_classifier("pets", "run", recipe=recipe, console=Console(quiet=True))
        >>> len(history), ImageClassifier.from_preset("run/best").class_names
        (3, ('cat', 'dog'))

    References:
        The recipes are described in `cspdarknet.train.recipe`.
    """
    for module in ("grain", "matplotlib"):
        require(module, "train", "Training")
    if tensorboard:
        require("tensorboardX", "tensorboard", "Writing for TensorBoard")
    console = console or Console()
    recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
    if workers < 1:
        raise ValueError(f"`workers` must be 1 or more. Received: {workers}")
    if Path(data).is_dir() and Path(out).resolve().is_relative_to(Path(data).resolve()):
        raise ValueError(f"The run folder {out} is inside the data {data}: choose another place.")
    distributed.check_batch_size(recipe.batch_size)
    run = RunFolder(out)
    with run.claimed() if distributed.is_first_process() else contextlib.nullcontext():
        splits = find_labelled_photos(data, validation_share, recipe.seed)
        settings = _settings(data, preset, load_weights, recipe, splits)
        if distributed.is_first_process():
            run.begin(settings)
        splits = _usable(run, splits, check, workers, console)
        training = _training(run, splits, preset, load_weights, recipe, workers, console)
        training.on_epoch = _reporter(training.display, run if tensorboard else None)
        with training.display:
            history = training.fit()
        if distributed.is_first_process():
            _report(run, splits, training, console)
    return history


def _settings(
    data: str | Path,
    preset: str | Path,
    load_weights: bool | None,
    recipe: Recipe,
    splits: Splits,
) -> dict[str, Any]:
    """Return what makes a run what it is, as JSON."""
    packages = ("cspdarknet", "keras", "numpy", "pillow", "grain")
    return {
        "task": "classify",
        "data": str(data),
        "preset": str(preset),
        "load_weights": load_weights,
        "backend": keras.backend.backend(),
        "class_names": list(splits.class_names),
        "photos": {
            part: {"count": len(photos), "sha256": photos.fingerprint}
            for part, photos in (("train", splits.train), ("validation", splits.validation))
        },
        "recipe": recipe.to_json(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
    }


def _usable(run: RunFolder, splits: Splits, check: bool, workers: int, console: Console) -> Splits:
    """Leave out the photos that cannot be read; a run that goes on leaves out the same."""
    skipped = run.read_skipped()
    if skipped is None:
        skipped = _check(splits, workers, console) if check else []
        if distributed.is_first_process():
            run.write_skipped(skipped)
    if not skipped:
        return splits
    console.print(f"[yellow]{len(skipped)} files cannot be used as photos:[/]")
    for item in skipped:
        console.print(f"  {item.path}: {item.reason}", soft_wrap=True, markup=False)
    bad = {item.path.absolute() for item in skipped}
    present = {path.absolute() for path in splits.train.paths + splits.validation.paths}
    if not bad <= present:
        raise ValueError(
            f"{run.path / SKIPPED} names files that are not among the photos, such as "
            f"{min(bad - present)}: were they moved? Train into a new folder."
        )
    return dataclasses.replace(
        splits,
        train=_without(splits.train, bad, "training"),
        validation=_without(splits.validation, bad, "validation"),
    )


def _check(splits: Splits, workers: int, console: Console) -> list[Skipped]:
    with Progress(
        TextColumn("checking the photos"), BarColumn(), MofNCompleteColumn(), console=console
    ) as progress:
        task = progress.add_task("", total=len(splits.train) + len(splits.validation))
        return [
            item
            for photos in (splits.train, splits.validation)
            for item in check_photos(photos, workers, lambda: progress.advance(task))[1]
        ]


def _without(photos: LabelledPhotos, bad: set[Path], part: str) -> LabelledPhotos:
    good = photos.take([i for i, path in enumerate(photos.paths) if path.absolute() not in bad])
    if part == "training":
        empty = [good.class_names[i] for i in np.flatnonzero(good.counts == 0)]
        if empty:
            raise ValueError(f"No readable photo is left of {', '.join(empty)}.")
    if not len(good):
        raise ValueError(f"No readable photo is left for {part}.")
    return good


def _training(
    run: RunFolder,
    splits: Splits,
    preset: str | Path,
    load_weights: bool | None,
    recipe: Recipe,
    workers: int,
    console: Console,
) -> Training:
    """Build the model and everything that the loop needs."""
    distributed.prepare()
    keras.utils.set_random_seed(recipe.seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    model = ImageClassifier.from_preset(
        preset,
        load_weights,
        num_classes=len(splits.class_names),
        class_names=splits.class_names,
        activation=None,
        dropout=recipe.dropout,
        image_size=recipe.image_size,
        batch_norm_momentum=recipe.batch_norm_momentum,
        dtype=recipe.precision,
    )
    for stage in recipe.stages:
        check_trained_part(model, stage.train)
    run.check_space(4 * model.count_params())
    model.backbone.freeze(None)
    with distributed.on_one_device():
        finished = ImageClassifier.from_config({**model.get_config(), "activation": "softmax"})
    source = TrainingSource(
        splits.train,
        recipe.augmentation,
        recipe.batch_size,
        recipe.seed,
        class_weights(splits.train, recipe.class_weights),
        workers,
        distributed.process_share(),
    )
    display = Display(console, recipe.epochs)
    return Training(model, finished, source, splits.validation, recipe, run, display)


def class_weights(photos: LabelledPhotos, kind: str) -> np.ndarray | None:
    """Return the weight of each class in the loss; over all photos they average 1."""
    if kind == "equal":
        return None
    return (len(photos) / (len(photos.class_names) * photos.counts)).astype("float32")


def _report(run: RunFolder, splits: Splits, training: Training, console: Console) -> None:
    for reason in training.source.failures.values():
        console.print(f"Left out while training: {reason}", soft_wrap=True, markup=False)
    with console.status("writing the report"), distributed.on_one_device():
        best = ImageClassifier.from_preset(run.path / BEST)
        write_run_report(run, best, splits, training.history, training.source.workers)


def _reporter(display: Display, board: RunFolder | None) -> Callable[[Row], None]:
    """Return what shows an epoch: on the console, and in TensorBoard's folder of a run."""
    writer: Any = None
    if board is not None:
        package = require("tensorboardX", "tensorboard", "Writing for TensorBoard")
        writer = package.SummaryWriter(str(board.path / "tensorboard"))

    def report(row: Row) -> None:
        display.epoch(row)
        if writer is not None:
            for name in ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate"):
                writer.add_scalar(name, row[name], row["epoch"])
            writer.flush()

    return report
