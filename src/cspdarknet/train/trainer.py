"""What every training begins with: checked arguments and photos, and somebody to tell about it."""

import contextlib
import dataclasses
import importlib.metadata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cspdarknet._extras import require
from cspdarknet.data.check import Photos, Skipped, check_images
from cspdarknet.train import distributed
from cspdarknet.train.display import Display
from cspdarknet.train.loop import Training
from cspdarknet.train.recipe import BaseRecipe
from cspdarknet.train.run_folder import SKIPPED, RunFolder
from cspdarknet.train.tasks import Row

AnySplits = TypeVar("AnySplits")
AnyPhotos = TypeVar("AnyPhotos", bound=Photos)
PACKAGES = ("cspdarknet", "keras", "numpy", "pillow", "grain")


def check_arguments(
    data: str | Path, out: str | Path, recipe: BaseRecipe, workers: int, tensorboard: bool
) -> None:
    """Refuse what cannot work before anything is begun."""
    for module in ("grain", "matplotlib"):
        require(module, "train", "Training")
    if tensorboard:
        require("tensorboardX", "tensorboard", "Writing for TensorBoard")
    if workers < 1:
        raise ValueError(f"`workers` must be 1 or more. Received: {workers}")
    if Path(data).is_dir() and Path(out).resolve().is_relative_to(Path(data).resolve()):
        raise ValueError(f"The run folder {out} is inside the data {data}: choose another place.")
    distributed.check_batch_size(recipe.batch_size)


def settings_of(
    task: str,
    data: str | Path,
    preset: str | Path,
    load_weights: bool | None,
    recipe: BaseRecipe,
    splits: Any,
) -> dict[str, Any]:
    """Return what makes a run what it is, as JSON."""
    return {
        "task": task,
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
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def begin_random(seed: int) -> None:
    """Make everything random follow the seed."""
    keras.utils.set_random_seed(seed)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()


def usable(
    run: RunFolder, splits: AnySplits, check: bool, workers: int, console: Console
) -> AnySplits:
    """Leave out the photos that cannot be read; a run that goes on leaves out the same."""
    parts: Any = splits
    skipped = run.read_skipped()
    if skipped is None:
        skipped = _check(parts, workers, console) if check else []
        if distributed.is_first_process():
            run.write_skipped(skipped)
    if not skipped:
        return splits
    console.print(f"[yellow]{len(skipped)} files cannot be used as photos:[/]")
    for item in skipped:
        console.print(f"  {item.path}: {item.reason}", soft_wrap=True, markup=False)
    bad = {item.path.absolute() for item in skipped}
    present = {path.absolute() for path in parts.train.paths + parts.validation.paths}
    if not bad <= present:
        raise ValueError(
            f"{run.path / SKIPPED} names files that are not among the photos, such as "
            f"{min(bad - present)}: were they moved? Train into a new folder."
        )
    return dataclasses.replace(
        parts,
        train=_without(parts.train, bad, "training"),
        validation=_without(parts.validation, bad, "validation"),
    )


def _check(splits: Any, workers: int, console: Console) -> list[Skipped]:
    with Progress(
        TextColumn("checking the photos"), BarColumn(), MofNCompleteColumn(), console=console
    ) as progress:
        task = progress.add_task("", total=len(splits.train) + len(splits.validation))
        return [
            item
            for photos in (splits.train, splits.validation)
            for item in check_images(photos, workers, lambda: progress.advance(task))[1]
        ]


def _without(photos: AnyPhotos, bad: set[Path], part: str) -> AnyPhotos:
    good = photos.take([i for i, path in enumerate(photos.paths) if path.absolute() not in bad])
    if not len(good):
        raise ValueError(f"No readable photo is left for {part}.")
    return good


@contextlib.contextmanager
def claimed(run: RunFolder) -> Iterator[None]:
    """Keep others out of the run folder; of several processes the first one does."""
    with run.claimed() if distributed.is_first_process() else contextlib.nullcontext():
        yield


def fit(training: Training, tensorboard: bool) -> list[Row]:
    """Train, show it, and name the files that were lost on the way."""
    names = training.task.figures + training.task.validation_figures
    board = training.run if tensorboard else None
    training.on_epoch = _reporter(training.display, board, names)
    with training.display:
        history = training.fit()
    for reason in training.source.failures.values():
        line = f"Left out while training: {reason}"
        training.display.console.print(line, soft_wrap=True, markup=False)
    return history


def _reporter(
    display: Display, board: RunFolder | None, names: tuple[str, ...]
) -> Callable[[Row], None]:
    """Return what shows an epoch: on the console, and in TensorBoard's folder of a run."""
    writer: Any = None
    if board is not None:
        package = require("tensorboardX", "tensorboard", "Writing for TensorBoard")
        writer = package.SummaryWriter(str(board.path / "tensorboard"))

    def report(row: Row) -> None:
        display.epoch(row)
        if writer is not None:
            for name in (*names, "learning_rate"):
                if row[name] is not None:
                    writer.add_scalar(name, row[name], row["epoch"])
            writer.flush()

    return report
