"""Pictures of what a network gets: images as they are evaluated, and batches as it is trained."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from cspdarknet._image_size import ImageSize, sides
from cspdarknet.data.classification.dataset import ClassificationDataset
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.data.pipeline import TrainingSource, training_batches
from cspdarknet.data.regression.dataset import RegressionDataset
from cspdarknet.data.regression.source import RegressionSource
from cspdarknet.detections import Detections
from cspdarknet.images import RGB, ImageError, as_picture
from cspdarknet.model_info import ModelInfo
from cspdarknet.preprocessing import Preprocessed, preprocessor
from cspdarknet.visualize import draw_boxes
from cspdarknet.yolox.letterbox import fitted_size

MIN_SHOWN_WEIGHT = 0.005  # of a class in a mixture
NO_CLASS = "no class"


class InputPicture(NamedTuple):
    """The input of a network for one image, as a picture.

    Attributes:
        image: the pixels that the network gets; for detection, with the boxes drawn in. Of other
            channels than RGB it shows the first three, or the first in gray.
        caption: the classes of an image, its number of boxes, or its numbers.
        name: name of the image file; empty for a training batch.
    """

    image: Image.Image
    caption: str
    name: str = ""


def evaluation_pictures(
    dataset: ClassificationDataset | DetectionDataset | RegressionDataset,
    image_size: ImageSize,
    count: int,
    seed: int = 0,
    channels: int = RGB,
) -> Iterator[InputPicture]:
    """Yield images as a network gets them in evaluations: letterboxed or center-cropped.

    Args:
        dataset: the images.
        image_size: side of the square that the network gets, or height and width.
        count: maximum number of images. They are chosen at random, and shown in their order.
        seed: random seed of the choice.
        channels: number of channels of the images.

    Example:
        >>> from cspdarknet.data import ClassificationDataset
        >>> Image.new("RGB", (80, 60), "navy").save("sea.png")
        >>> dataset = ClassificationDataset(("land", "sea"), (Path("sea.png"),), np.array([1]))
        >>> (picture,) = evaluation_pictures(dataset, 32, count=1)
        >>> picture.image.size, picture.caption, picture.name
        ((32, 32), 'sea', 'sea.png')
    """
    task = "detection" if isinstance(dataset, DetectionDataset) else "classification"
    preprocess = preprocessor(ModelInfo(task, channels=channels), image_size)
    order = np.random.default_rng(seed).permutation(len(dataset))[:count]
    for index in sorted(order.tolist()):
        path = dataset.paths[index]
        try:
            preprocessed = preprocess(path)
        except ImageError as error:
            blank = Image.new("RGB", sides(image_size)[::-1], "white")
            yield InputPicture(blank, str(error).removeprefix(f"{path}: "), path.name)
            continue
        if isinstance(dataset, DetectionDataset):
            yield _letterboxed(dataset, index, preprocessed, image_size)
        else:
            caption = _caption(dataset, index)
            yield InputPicture(_image(preprocessed.inputs), caption, path.name)


def training_pictures(
    source: TrainingSource, image_size: ImageSize, count: int
) -> list[InputPicture]:
    """Return the first images that a training gets, augmented.

    Args:
        source: a `ClassificationSource`, `DetectionSource` or `RegressionSource`.
        image_size: side of the square training images, or height and width.
        count: number of images.

    Raises:
        ImportError: if Grain is not installed.
    """
    pictures: list[InputPicture] = []
    steps = -(-count // source.batch_size)
    names = source.dataset.class_names
    for images, targets, _ in training_batches(source, image_size, 0, steps):
        for i, pixels in enumerate(images):
            if isinstance(targets, dict):
                is_box = targets["classes"][i] >= 0
                boxes, labels = (targets[key][i][is_box] for key in ("boxes", "classes"))
                pictures.append(_with_boxes(pixels, boxes, labels, names))
            else:
                caption = _numbers if isinstance(source, RegressionSource) else _mixture
                pictures.append(InputPicture(_image(pixels), caption(targets[i], names)))
    return pictures[:count]


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(as_picture(pixels))


def _letterboxed(
    dataset: DetectionDataset, index: int, preprocessed: Preprocessed, image_size: ImageSize
) -> InputPicture:
    height, width = preprocessed.image.shape[:2]
    ratio = fitted_size(height, width, image_size)[2]
    shown = ~dataset.ignored[index]
    boxes, labels = dataset.boxes[index][shown] * ratio, dataset.labels[index][shown]
    picture = _with_boxes(preprocessed.inputs, boxes, labels, dataset.class_names)
    ignored = int((~shown).sum())
    caption = picture.caption + (f", {ignored} ignored" if ignored else "")
    return InputPicture(picture.image, caption, dataset.paths[index].name)


def _with_boxes(
    pixels: np.ndarray, boxes: np.ndarray, labels: np.ndarray, class_names: tuple[str, ...]
) -> InputPicture:
    size = pixels.shape[:2]
    detections = Detections(boxes, np.ones(len(boxes)), labels, size, class_names)
    drawn = draw_boxes(as_picture(pixels), detections, show_confidence=False)
    return InputPicture(drawn, f"{len(boxes)} {'box' if len(boxes) == 1 else 'boxes'}")


def _caption(dataset: ClassificationDataset | RegressionDataset, index: int) -> str:
    """Return the classes of an image, or its numbers."""
    if isinstance(dataset, RegressionDataset):
        return _numbers(dataset.targets[index], dataset.target_names)
    return ", ".join(dataset.classes_of(index)) or NO_CLASS


def _numbers(numbers: np.ndarray, names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {x:.4g}" for name, x in zip(names, numbers, strict=True))


def _mixture(weights: Any, class_names: tuple[str, ...]) -> str:
    """Describe the target of a classifier: its class, or the fractions of a mixture."""
    order = [i for i in np.argsort(-weights, kind="stable") if weights[i] > MIN_SHOWN_WEIGHT]
    if not order:
        return NO_CLASS
    if len(order) == 1 and weights[order[0]] > 1 - MIN_SHOWN_WEIGHT:
        return class_names[order[0]]
    return ", ".join(f"{class_names[i]} {weights[i]:.0%}" for i in order)
