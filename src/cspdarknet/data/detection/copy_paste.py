"""Copy-paste augmentation: objects of one training image, pasted into another one.

Without masks, the rectangle of a box is pasted, with what it shows of the background.

References:
    Ghiasi et al. 2021, "Simple Copy-Paste is a Strong Data Augmentation Method for Instance
    Segmentation" (https://arxiv.org/abs/2012.07177): a random part of the objects of a random
    image, without blending of the borders. Dvornik et al. 2018, "Modeling Visual Context is Key to
    Augmenting Object Detection Datasets" (https://arxiv.org/abs/1807.07428).
"""

import numpy as np

from cspdarknet.data.detection.transforms import DetectionSample, clip_boxes, flip_horizontal
from cspdarknet.yolox.letterbox import resize

# Probability that an object of the other image is pasted, and the factors that it is scaled by.
PASTED = 0.5
SCALES = (0.5, 1.5)
MAX_PASTES = 20
# Largest fraction of a box that pastes may cover. What would cover more is not pasted.
MAX_COVERED = 0.3
TRIES = 5  # places that are tried for each object
MIN_PIXELS = 4  # shorter side of a crop


def copy_paste(
    sample: DetectionSample, other: DetectionSample, rng: np.random.Generator
) -> DetectionSample:
    """Paste objects of another sample at random places of a sample.

    A crop may show parts of other objects. They get a box if a fifth of them is visible, as in a
    mosaic.

    Args:
        sample: the sample. Its boxes are kept; no more than 30 % of each is covered.
        other: the sample whose objects are pasted, scaled and flipped at random.
        rng: random number generator.

    Example:
        >>> black, white = (np.full((64, 64, 3), value, "uint8") for value in (0, 255))
        >>> empty = DetectionSample(black, np.zeros((0, 4), "float32"), np.zeros(0, "int32"))
        >>> box = np.array([[8, 8, 24, 24]], "float32")
        >>> other = DetectionSample(white, box, np.array([3], "int32"))
        >>> pasted = copy_paste(empty, other, np.random.default_rng(2))
        >>> pasted.labels, bool((pasted.image == 255).any())
        (array([3], dtype=int32), True)
    """
    chosen = np.flatnonzero(rng.random(len(other.boxes)) < PASTED)
    # Images of 8 bits and of more may be in one dataset.
    image = sample.image.astype(np.result_type(sample.image, other.image))
    boxes, labels = [sample.boxes], [sample.labels]
    covered = np.zeros(len(sample.boxes))
    for index in rng.permutation(chosen)[:MAX_PASTES]:
        crop = _crop(other, index, image.shape, rng)
        if crop is None:
            continue
        present = np.concatenate(boxes)
        place = _free_place(crop, image.shape, present, covered, rng)
        if place is None:
            continue
        left, top = place
        height, width = crop.image.shape[:2]
        covered += _covered(present, left, top, width, height)
        image[top : top + height, left : left + width] = crop.image
        boxes.append(crop.boxes + np.array([left, top] * 2, "float32"))
        labels.append(crop.labels)
        covered = np.concatenate([covered, np.zeros(len(crop.boxes))])
    return DetectionSample(image, np.concatenate(boxes), np.concatenate(labels))


def _crop(
    other: DetectionSample, index: int, shape: tuple[int, ...], rng: np.random.Generator
) -> DetectionSample | None:
    """Return the pixels and boxes in one box, scaled and flipped; `None` if too few are left."""
    height, width = other.image.shape[:2]
    low = np.floor(other.boxes[index, :2]).astype(int).clip(0)
    right, bottom = np.ceil(other.boxes[index, 2:]).astype(int).clip(0, (width, height))
    left, top = low
    factor = rng.uniform(*SCALES)
    flips = rng.random() < 0.5
    factor = min(factor, shape[0] / max(bottom - top, 1), shape[1] / max(right - left, 1))
    new_height, new_width = (int(factor * side) for side in (bottom - top, right - left))
    if min(new_height, new_width) < MIN_PIXELS:
        return None
    pixels = other.image[top:bottom, left:right]
    moved = other.boxes - np.array([left, top, left, top], "float32")
    areas = (moved[:, 2:] - moved[:, :2]).prod(axis=1)
    boxes, labels = clip_boxes(moved, other.labels, areas, pixels.shape)
    ratio = np.array([new_width / (right - left), new_height / (bottom - top)] * 2, "float32")
    crop = DetectionSample(resize(pixels, new_height, new_width), boxes * ratio, labels)
    return flip_horizontal(crop) if flips else crop


def _free_place(
    crop: DetectionSample,
    shape: tuple[int, ...],
    boxes: np.ndarray,
    covered: np.ndarray,
    rng: np.random.Generator,
) -> tuple[int, int] | None:
    """Return left and top of a place where a crop hides no box; `None` if none is found."""
    height, width = crop.image.shape[:2]
    for _ in range(TRIES):
        left = int(rng.integers(shape[1] - width + 1))
        top = int(rng.integers(shape[0] - height + 1))
        if (covered + _covered(boxes, left, top, width, height) <= MAX_COVERED).all():
            return left, top
    return None


def _covered(boxes: np.ndarray, left: int, top: int, width: int, height: int) -> np.ndarray:
    """Return the fraction of each box that a rectangle covers."""
    low = np.maximum(boxes[:, :2], (left, top))
    high = np.minimum(boxes[:, 2:], (left + width, top + height))
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return (high - low).clip(0).prod(axis=1) / np.maximum(areas, 1e-6)
