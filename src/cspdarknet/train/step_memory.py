"""Memory of training steps, measured in a process of its own; see `batch_size`."""

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from cspdarknet._image_size import ImageSize, num_pixels, scaled, sides
from cspdarknet.data.detection.source import ImageCache
from cspdarknet.data.pipeline import PREFETCHED_BATCHES
from cspdarknet.train import distributed
from cspdarknet.train.averages import WeightAverages
from cspdarknet.train.free_memory import peak_memory, reset_peak_memory
from cspdarknet.train.gpu_memory import gpu_memory, release_gpu_memory
from cspdarknet.train.loop import set_trained_layers
from cspdarknet.train.memory import is_about_memory
from cspdarknet.train.optimizer import build_optimizer
from cspdarknet.train.recipe import (
    ClassificationRecipe,
    DetectionRecipe,
    Phase,
    RegressionRecipe,
)
from cspdarknet.train.tasks import DetectionTask, RegressionTask, Task, classification_task

TASKS: dict[str, tuple[Callable[..., Any], type[Any]]] = {
    "classification": (classification_task, ClassificationRecipe),
    "detection": (DetectionTask, DetectionRecipe),
    "regression": (RegressionTask, RegressionRecipe),
}
# Fraction of the free memory that a training may take: more was never free for all of its time.
USED = 0.8
# Likewise of a GPU, whose memory is that of one process.
USED_OF_GPU = 0.9
# A growth of memory from one batch to the next that is more than noise, and the time to look for
# it in seconds.
VISIBLE, PATIENCE = 100_000_000, 60.0
# Copies of the weights beside those of a step: the saved model, and the arrays of the state file.
COPIES = 5
BYTES_PER_VALUE = 4


class Steps:
    """Training steps of a recipe, in its phase of the largest images and the most layers.

    Args:
        task: the task.
        model: name or path of the model.
        load_weights: whether its weights are loaded.
        num_classes: number of classes.
    """

    def __init__(self, task: Task, model: str, load_weights: bool | None, num_classes: int) -> None:
        recipe = task.recipe
        phase = _largest_phase(recipe.phases)
        names = tuple(f"class {i}" for i in range(num_classes))
        self._model = task.build_model(model, load_weights, names)
        set_trained_layers(self._model, phase.train)
        task.compile(self._model, build_optimizer(recipe, phase, recipe.accumulate, self._model))
        task.begin_phase(self._model, phase)
        decays = recipe.ema_decay, recipe.batch_norm_momentum
        self._averages = WeightAverages(self._model, *decays)
        self._task, self._num_classes = task, num_classes
        self.image_size = _largest_size(task, phase)

    @property
    def keeps_images(self) -> bool:
        """Whether the source of the batches keeps decoded images in memory."""
        return self._task.name == "detection"

    @property
    def weights_bytes(self) -> int:
        """Number of bytes of the weights."""
        return BYTES_PER_VALUE * int(self._model.count_params())

    @property
    def values_per_image(self) -> int:
        """Number of values of an image."""
        return int(self._model.channels) * num_pixels(self.image_size)

    def run(self, batch_size: int) -> None:
        """Train with a batch twice: the second step has the memory of all that follow."""
        batch = self._batch(batch_size)
        for _ in range(2):
            reset_peak_memory()
            self._model.train_on_batch(*batch, return_dict=True)
            self._averages.update()

    def _batch(self, count: int) -> tuple[Any, ...]:
        """Return gray images, with as many boxes as a recipe allows."""
        height, width = sides(self.image_size)
        shape = (count, height, width, self._model.channels)
        if self._model.backbone.data_format == "channels_first":
            shape = (count, self._model.channels, height, width)
        images, weights = np.full(shape, 128, "float32"), np.ones(count, "float32")
        recipe: Any = self._task.recipe
        if self._task.name != "detection":
            return images, np.eye(self._num_classes, dtype="float32")[[0] * count], weights
        rng = np.random.default_rng(0)
        lengths = np.array([width, height])
        corner = rng.uniform(0, lengths / 2, (count, recipe.max_boxes, 2))
        boxes = np.concatenate([corner, corner + lengths / 3], axis=2).astype("float32")
        classes = np.zeros((count, recipe.max_boxes), "int32")
        return images, {"boxes": boxes, "classes": classes}, weights


def main() -> None:
    """Read a question of `batch_size` from the standard input, and print the answer as JSON."""
    question = json.loads(sys.stdin.read())
    answer: dict[str, Any]
    try:
        answer = _answer(question)
    except Exception as error:  # the other process says it
        answer = {"error": " ".join(str(error).split()) or type(error).__name__}
    print(f"\n{json.dumps(answer)}")


def _answer(question: dict[str, Any]) -> dict[str, int]:
    task_class, recipe_class = TASKS[question["task"]]
    task = task_class(recipe_class.from_json(question["recipe"]))
    sizes, devices, free = question["sizes"], question["devices"], question["free"]
    keras.ops.zeros(())  # starts the backend
    before = peak_memory()
    steps = Steps(task, question["model"], question["load_weights"], question["num_classes"])
    if "cpu" in distributed.device_names():
        return largest_by_memory(
            lambda size: _measure(steps, size, before),
            sizes,
            devices,
            int(USED * free),
            _fixed_bytes(steps, question["num_images"]),
            _bytes_per_image(steps),
        )
    return largest_by_trial(steps.run, sizes, devices)


def _measure(steps: Steps, size: int, before: int) -> int:
    steps.run(size)
    return peak_memory() - before


def largest_by_memory(
    measure: Callable[[int], int],
    sizes: Sequence[int],
    devices: int,
    free: int,
    fixed: int = 0,
    per_image: int = 0,
) -> dict[str, int]:
    """Return the largest batch size whose memory is free, extrapolated from small batches.

    Args:
        measure: runs steps with a batch size, and returns the bytes that they need.
        sizes: the batch sizes to choose from, in ascending order.
        devices: number of processes that have a part of a batch each.
        free: bytes that may be used.
        fixed: bytes that are needed besides.
        per_image: bytes that are needed besides for each image of a batch.

    Returns:
        The values of a `BatchSize`; 0 images if none fits.
    """
    start, size = time.monotonic(), 1
    first = last = measure(1)
    slope = float(first)  # as if all of it were for the image
    while last - first < VISIBLE and time.monotonic() - start < PATIENCE:
        size *= 2
        if size > sizes[-1] or devices * (fixed + 2 * last) > free:
            break
        last = max(last, measure(size))
        slope = (last - first) / (size - 1)

    def needed(images: int) -> int:
        return int(devices * (first - slope + fixed) + images * (slope + per_image))

    fitting = [images for images in sizes if needed(images) <= free]
    images = fitting[-1] if fitting else 0
    return {"images": images, "needed": needed(images or sizes[0]), "free": free}


def largest_by_trial(
    run: Callable[[int], object], sizes: Sequence[int], devices: int
) -> dict[str, int]:
    """Return the largest batch size with which steps run on a GPU.

    Args:
        run: runs steps with a batch size.
        sizes: the batch sizes to choose from, in ascending order.
        devices: number of devices that have a part of a batch each.

    Returns:
        The values of a `BatchSize`; 0 images if none fits.
    """
    for images in reversed(sizes):
        release_gpu_memory()
        try:
            run(images // devices)
        except Exception as error:
            if not is_about_memory(error):
                raise
            continue
        needed, total = gpu_memory()
        if needed <= USED_OF_GPU * total:
            return {"images": images, "needed": needed, "free": total}
    needed, total = gpu_memory()
    return {"images": 0, "needed": max(needed, total), "free": total}


def _largest_phase(phases: Sequence[Phase]) -> Phase:
    """Return a phase of the largest images that trains the most layers of any phase."""
    trained = [phase.train for phase in phases]
    levels = sorted(train for train in trained if train not in ("all", "head"))
    train = "all" if "all" in trained else [*levels, "head"][0]
    return Phase(1, max((phase.image_size for phase in phases), key=num_pixels), train)


def _largest_size(task: Task, phase: Phase) -> ImageSize:
    """Return the largest size of the images, of those that are drawn for each batch."""
    augmentation = task.recipe.augmentation  # type: ignore[attr-defined]
    factor = getattr(augmentation, "multi_scale", (1.0, 1.0))[1]
    return max(phase.image_size, scaled(phase.image_size, factor, 32), key=num_pixels)


def _fixed_bytes(steps: Steps, num_images: int) -> int:
    """Return what a training holds besides: copies of the weights, and images of a detector."""
    cached = num_images * steps.values_per_image if steps.keeps_images else 0
    return COPIES * steps.weights_bytes + min(cached, ImageCache().capacity)


def _bytes_per_image(steps: Steps) -> int:
    """Return what the batches hold that are made ahead, for each of their images."""
    return (PREFETCHED_BATCHES + 1) * BYTES_PER_VALUE * steps.values_per_image
