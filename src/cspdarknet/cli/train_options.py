"""What `cspdarknet train` makes of its options."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console

from cspdarknet.presets.config import RUN_SETTINGS


class TaskDefaults(NamedTuple):
    """Settings of the command that depend on the task.

    Attributes:
        preset: the preset to start from by default.
        metric: the name of the metric that decides which epoch is the best.
        column: the column of the history that holds it.
    """

    preset: str
    metric: str
    column: str


AUTO = "auto"
STARTS = {
    "classification": TaskDefaults("csp_darknet_tiny_clothing", "accuracy", "val_accuracy"),
    "detection": TaskDefaults("yolox_nano_bccd", "mAP", "val_map"),
    "regression": TaskDefaults("csp_darknet_tiny_clothing", "R2", "val_r2"),
}
# The metric and its column of classifiers of other labels than one class per image.
SCORES = {"multi": ("mAP", "val_map"), "ordinal": ("quadratic weighted kappa", "val_kappa")}


def print_best(
    history: Sequence[dict[str, Any]], out: Path, task: str, labels: str, console: Console
) -> None:
    """Print the best epoch with the metric that decides which it is.

    Args:
        history: the rows of the epochs.
        out: the run folder.
        task: the task.
        labels: the kind of labels of a classifier.
        console: the console to print on.
    """
    metric, column = SCORES.get(labels, STARTS[task][1:])
    best = max(history, key=lambda row: (row["best"], row["epoch"]))
    console.print(
        f"Best: epoch {best['epoch']}, validation {metric} {best[column]:.4f}. "
        f"Model: {out / 'best'}  report: {out / 'report.html'}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


def training_function(
    task: str, class_names: str | None, targets: str | None, teacher: Any
) -> Callable[..., Any]:
    """Return the function that trains for a task, with the arguments that only some tasks have.

    Args:
        task: the task.
        class_names: the option `--class-names`.
        targets: the option `--targets`.
        teacher: the teacher of a distillation, if there is one.

    Raises:
        ValueError: if an option is for another task.
    """
    from cspdarknet import train as training

    own = options_of_task(task, "classification", class_names=listed_names(class_names))
    own |= options_of_task(task, "regression", targets=listed_names(targets))
    if task == "classification":
        return partial(training.train_classifier, teacher=teacher, **own)
    if task == "detection":
        return partial(training.train_detector, teacher=teacher)
    if teacher is not None:
        raise ValueError(f"`--teacher` is for classes and boxes. Received: --task {task}")
    return partial(training.train_regressor, **own)


def listed_names(text: str | None) -> tuple[str, ...] | None:
    """Return the names of an option such as `low,high`; `None` where it is not given."""
    return None if text is None else tuple(name.strip() for name in text.split(","))


def backend_of(run: Path) -> str | None:
    """Return the backend of an earlier training in a run folder, which this one continues."""
    try:
        backend = json.loads((run / RUN_SETTINGS).read_text())["backend"]
    except (OSError, ValueError, LookupError, TypeError):
        return None  # a new run; or the training itself says what is wrong
    return backend if isinstance(backend, str) else None


def given_teacher(model: str | None, weight: float | None, temperature: float | None) -> Any:
    """Return the teacher that options name, if any.

    Raises:
        ValueError: if a value is out of range, or there is no `--teacher`.
    """
    from cspdarknet.train import Teacher

    named = {"weight": weight, "temperature": temperature}
    given = {name: value for name, value in named.items() if value is not None}
    if model is not None:
        return Teacher(model, **given)
    if given:
        raise ValueError(
            "`--teacher-weight` and `--temperature` need `--teacher`, such as --teacher "
            "runs/large. Received: no --teacher"
        )
    return None


def given_batch_size(batch_size: str | None) -> int | None:
    """Return a batch size as a number; `None` where the recipe's is taken or it is to be found."""
    if batch_size is None or batch_size == AUTO:
        return None
    try:
        return int(batch_size)
    except ValueError as error:
        raise ValueError(
            f"`--batch-size` must be a number, or {AUTO}. Received: --batch-size {batch_size}"
        ) from error


def options_of_task(task: str, owner: str, **options: Any) -> dict[str, Any]:
    """Return the given options of a task, which must not be given for another one."""
    given = {name: value for name, value in options.items() if value is not None}
    if given and task != owner:
        name = next(iter(given)).replace("_", "-")
        raise ValueError(f"`--{name}` is for --task {owner}. Received: --task {task}")
    return given
