"""The largest batch that fits into memory, with gradients accumulated to the batch of the recipe.

Steps are tried in a process of its own, so that nothing of them is left, and one that is killed for
its memory ends nothing else.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import keras

from cspdarknet._arguments import check_count
from cspdarknet._image_size import num_pixels, sides
from cspdarknet.train import distributed
from cspdarknet.train.free_memory import free_memory
from cspdarknet.train.gpu_memory import check_on_demand
from cspdarknet.train.recipe import BaseRecipe, ClassificationRecipe, RegressionRecipe

AnyRecipe = TypeVar("AnyRecipe", bound=BaseRecipe)
PROGRAM = "from cspdarknet.train.step_memory import main; main()"
SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class BatchSize:
    """A batch size that fits into memory.

    Attributes:
        images: number of images, over all devices.
        needed: bytes of memory that a training needs with it.
        free: bytes of memory that are free.
    """

    images: int
    needed: int
    free: int

    def __str__(self) -> str:
        sizes = (f"{size / 1e9:.1f} GB" for size in (self.needed, self.free))
        return "batch size {}: needs {} of {} of free memory".format(self.images, *sizes)


def fit_batch_size(
    recipe: AnyRecipe,
    model: str | Path,
    num_classes: int = 80,
    load_weights: bool | None = None,
    devices: int = 1,
    num_images: int = 0,
) -> tuple[AnyRecipe, BatchSize]:
    """Return a recipe with the largest batch that fits into memory, and as large optimizer steps.

    The batch size is a divisor of the number of images per optimizer step, `batch_size` times
    `accumulate`, which stays as it is. On GPUs, training steps are tried from the largest batch
    down. On processors, the memory of the first small batches is measured, and that of larger ones
    extrapolated.

    Args:
        recipe: the recipe.
        model: the model to start from, as its name or path.
        num_classes: number of classes or targets.
        load_weights: as for `train_classifier`.
        devices: number of devices, among which each batch is divided evenly.
        num_images: number of training images; of a detector, they are kept in memory up to 1 GB.

    Returns:
        The recipe, and what was measured.

    Raises:
        ValueError: if not even one image for each device fits, or a step fails for another reason.

    Example:
        >>> from cspdarknet.train import ClassificationRecipe, Phase, fit_batch_size
        >>> recipe = ClassificationRecipe((Phase(1, 32),), batch_size=16)
        >>> recipe, found = fit_batch_size(recipe, "csp_darknet_tiny_clothing", num_classes=10)
        >>> recipe.batch_size, recipe.accumulate
        (16, 1)
    """
    check_count("num_classes", num_classes)
    total = recipe.batch_size * recipe.accumulate
    sizes = [n for n in range(check_count("devices", devices), total + 1) if total % n == 0]
    sizes = [n for n in sizes if n % devices == 0]
    if not sizes:
        raise ValueError(
            f"`batch_size` must be a multiple of {devices}, the number of devices. "
            f"Received: batch_size={recipe.batch_size}"
        )
    if "cpu" not in distributed.device_names():
        check_on_demand()
    found = _measured(
        {
            "task": _task_of(recipe),
            "recipe": recipe.to_json(),
            "model": str(model),
            "load_weights": load_weights,
            "num_classes": num_classes,
            "sizes": sizes,
            "devices": devices,
            "num_images": num_images,
            "free": free_memory(),
        }
    )
    if found.images == 0:
        raise ValueError(_too_small(recipe, found))
    fitted = replace(recipe, batch_size=found.images, accumulate=total // found.images)
    return fitted, found


def same_step(recipe: AnyRecipe, stored: Any) -> AnyRecipe:
    """Return a recipe with the batch size of a run that is continued, if its steps are as large.

    Args:
        recipe: the recipe.
        stored: the settings of the run.
    """
    try:
        batch_size, accumulate = (stored["recipe"][name] for name in ("batch_size", "accumulate"))
        if batch_size * accumulate == recipe.batch_size * recipe.accumulate:
            return replace(recipe, batch_size=batch_size, accumulate=accumulate)
    except (LookupError, TypeError, ValueError):  # the comparison of all settings says what differs
        pass
    return recipe


def _task_of(recipe: BaseRecipe) -> str:
    if isinstance(recipe, ClassificationRecipe):
        return "classification"
    return "regression" if isinstance(recipe, RegressionRecipe) else "detection"


def _measured(question: dict[str, Any]) -> BatchSize:
    """Try steps in another process, and return what it answers."""
    backend = keras.backend.backend()
    program = f"import os; os.environ['KERAS_BACKEND'] = {backend!r}; {PROGRAM}"
    process = subprocess.run(
        _command(program), input=json.dumps(question), capture_output=True, text=True, check=False
    )
    lines = process.stdout.splitlines()
    try:
        answer = json.loads(lines[-1])
        if "error" not in answer:
            return BatchSize(**answer)
        reason = answer["error"]
    except (LookupError, ValueError, TypeError):
        reason = (process.stderr.strip().splitlines() or [f"status {process.returncode}"])[-1]
    raise ValueError(
        "The batch size cannot be found, since a training step fails: "
        f"{str(reason)[:SHOWN_CHARACTERS]}. Give the batch size as a number."
    )


def _command(program: str) -> Sequence[str]:
    return [sys.executable, "-P", "-c", program]  # without modules of the present folder


def _too_small(recipe: BaseRecipe, found: BatchSize) -> str:
    height, width = sides(max((phase.image_size for phase in recipe.phases), key=num_pixels))
    return (
        f"The memory does not suffice for one image of {height} x {width} pixels on each device: a "
        f"training needs {found.needed / 1e9:.1f} GB, and {found.free / 1e9:.1f} GB are free. "
        "Train with a smaller `image_size` or a smaller model."
    )
