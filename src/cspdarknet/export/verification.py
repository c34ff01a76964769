"""Compare what an exported file computes with what the Keras model does."""

from dataclasses import dataclass

import keras
import numpy as np

from cspdarknet.model_info import ModelInfo

SIDE = 160  # of sample images, where a graph takes any
BATCH = 2
# Two objects are the same if they are of one class and their boxes and scores differ by less.
SAME_PIXELS = 1.0
SAME_SCORE = 0.01
# Of the objects; at the limits of scores and overlaps rounding decides.
SAME_SHARE = 0.9


@dataclass(frozen=True)
class Difference:
    """How far results are from those of the Keras model.

    Attributes:
        relative: the largest difference, as a share of the largest value of its output. Of a
            detector's objects: of their scores and, in shares of the image, boxes.
        objects: of a detector: how many objects it found in the images, and how many of them
            are found by both, `None` otherwise.
        same_objects: whether nearly all objects that either found are found by both.
    """

    relative: float
    objects: tuple[int, int] | None = None
    same_objects: bool = True

    def __str__(self) -> str:
        text = f"{self.relative:.1e}"
        if self.objects is None:
            return text
        found, same = self.objects
        if found:
            return f"{text}, {same} of {found} objects alike"
        return "no objects to compare" if self.same_objects else "objects where there are none"


def sample_images(graph: keras.Model, description: ModelInfo) -> np.ndarray:
    """Return noise that is smooth in places, as photos are, of a size that the graph takes."""
    shape = [BATCH, *(side or SIDE for side in graph.inputs[0].shape[1:])]
    rng = np.random.default_rng(0)
    coarse = rng.uniform(0, 255, [BATCH, *(max(1, side // 16) for side in shape[1:3]), shape[3]])
    if description.data_format == "channels_first":
        coarse = rng.uniform(0, 255, [BATCH, shape[1], *(max(1, side // 16) for side in shape[2:])])
    smooth = coarse
    for axis, side in enumerate(shape):
        places = np.linspace(0, smooth.shape[axis] - 1, side).round().astype(int)
        smooth = np.take(smooth, places, axis=axis)
    noisy = smooth + rng.normal(0, 10, shape)
    return noisy.clip(0, 255).round().astype(description.inputs)


def compare(
    graph: keras.Model, images: np.ndarray, found: dict[str, np.ndarray], description: ModelInfo
) -> Difference:
    """Return how far results are from those of the graph."""
    results = graph.predict_on_batch(images)
    expected = {name: np.asarray(value) for name, value in results.items()}
    if description.task == "boxes":
        return _compare_objects(expected, found, max(images.shape[1:]))
    differences = [
        np.abs(found[name].astype("float64") - value).max() / max(np.abs(value).max(), 1e-9)
        for name, value in expected.items()
    ]
    return Difference(float(max(differences)))


def _compare_objects(
    expected: dict[str, np.ndarray], found: dict[str, np.ndarray], side: int
) -> Difference:
    total, same, largest = 0, 0, 0.0
    for i, count in enumerate(expected["num_detections"]):
        for j in range(int(count)):
            total += 1
            score, box = expected["confidence"][i, j], expected["boxes"][i, j]
            scores = np.abs(found["confidence"][i] - score)
            boxes = np.abs(found["boxes"][i] - box).max(axis=1)
            alike = (found["classes"][i] == expected["classes"][i, j]) & (scores < SAME_SCORE)
            alike &= boxes < SAME_PIXELS
            if alike.any():
                same += 1
                best = np.flatnonzero(alike)[boxes[alike].argmin()]
                largest = max(largest, float(scores[best]), float(boxes[best]) / side)
    most = max(total, int(found["num_detections"].sum()))
    return Difference(largest, (total, same), same >= SAME_SHARE * most)
