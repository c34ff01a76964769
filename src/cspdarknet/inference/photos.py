"""Find objects in photos: in arrays, and in many files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cspdarknet.data.pipeline import read_ahead
from cspdarknet.detections import Detections, as_detections
from cspdarknet.images import ImageError, read_image

if TYPE_CHECKING:
    import keras


def detect(
    model: "keras.Model",
    paths: Sequence[str | Path],
    *,
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    max_detections: int | None = None,
    image_size: int | None = None,
    batch_size: int = 8,
    workers: int = 2,
) -> Iterator[tuple[Path, Detections | ImageError]]:
    """Find objects in photos from files, a batch at a time: the next one is read meanwhile.

    Args:
        model: a `YOLOXDetector`.
        paths: the files.
        score_threshold: objects of a lower score are left out; in 0..1.
        iou_threshold: of two boxes of one class that overlap more than this, the surer is kept.
        max_detections: how many objects of a photo are kept, the surest ones.
        image_size: side in pixels of the square that a photo is fitted into. This and the three
            above are those of the model where they are `None`.
        batch_size: photos in a batch, at most.
        workers: number of threads that decode.

    Returns:
        Iterator over each path, in order, with the `Detections`, or with the `ImageError` if the
        file could not be read.

    Example:
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> detector = YOLOXDetector.from_preset("csp_darknet_tiny", num_classes=3, image_size=64)
        >>> for path, found in detect(detector, ["sea.png"]):
        ...     print(path, "is no photo" if isinstance(found, ImageError) else found.image_size)
        sea.png (48, 64)
    """
    # A batch is filled up to its size, which would be a waste for a single photo.
    batch_size = max(1, min(batch_size, len(paths)))
    settings = {
        "score_threshold": score_threshold,
        "iou_threshold": iou_threshold,
        "max_detections": max_detections,
        "image_size": image_size,
        "batch_size": batch_size,
    }
    for batch in read_ahead(_read, [Path(path) for path in paths], batch_size, workers):
        readable = [photo for _, photo in batch if not isinstance(photo, ImageError)]
        found = iter(detect_in_arrays(model, readable, **settings))
        for path, photo in batch:
            yield path, photo if isinstance(photo, ImageError) else next(found)


def detect_in_arrays(
    model: "keras.Model", images: Sequence[np.ndarray], **settings: Any
) -> list[Detections]:
    """Find objects in photos that are arrays `(height, width, 3)`, RGB in 0..255.

    The keyword arguments are those of the model's `predict`.
    """
    box_format = getattr(model, "bounding_box_format", "xyxy")
    if box_format != "xyxy":
        raise ValueError(
            f"The model's boxes must be 'xyxy'. Received: bounding_box_format={box_format!r}"
        )
    if not images:
        return []
    found = model.predict(list(images), verbose=0, **settings)
    return [
        as_detections({name: values[i] for name, values in found.items()}, image.shape[:2])
        for i, image in enumerate(images)
    ]


def _read(path: Path) -> tuple[Path, np.ndarray | ImageError]:
    try:
        return path, read_image(path)
    except ImageError as error:
        return path, error
