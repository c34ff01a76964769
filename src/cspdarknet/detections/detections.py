"""`Detections`: the detected objects of one image."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from PIL import Image

from cspdarknet.detections.conversions import Conversions
from cspdarknet.visualize import draw_boxes, save_picture


class Detection(NamedTuple):
    """One detected object.

    Attributes:
        xyxy: left, top, right and bottom, in pixels of the image.
        confidence: confidence in 0..1.
        class_id: index of the class, from 0.
        class_name: name of the class, or `None` where the names are unknown.
        tracker_id: id of the object's track, `None` without tracking.
    """

    xyxy: tuple[float, float, float, float]
    confidence: float
    class_id: int
    class_name: str | None
    tracker_id: int | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Detections(Conversions):
    """The detected objects of one image.

    Args:
        xyxy: float array `(n, 4)`: left, top, right and bottom, in pixels of the image.
        confidence: float array `(n,)`: the confidence of each object, in 0..1.
        class_id: integer array `(n,)`: the class of each object, from 0.
        image_size: height and width of the image, in pixels.
        class_names: names of the classes, or `None`.
        path: the image file, which `plot` and `save` draw on; `None` if it was not a file.
        tracker_id: integer array `(n,)`: the id of each object's track, -1 for none; `None` without
            tracking.

    Raises:
        ValueError: if the arrays are not of this form, or do not fit each other.

    Example:
        >>> detections = Detections(
        ...     [[10, 20, 50, 40], [0, 0, 5, 5]], [0.9, 0.3], [1, 0], (100, 200), ("red", "white")
        ... )
        >>> detections
        Detections(1 red, 1 white; image_size=(100, 200))
        >>> for detection in detections[detections.confidence > 0.5]:
        ...     print(detection.class_name, detection.xyxy)
        white (10.0, 20.0, 50.0, 40.0)
        >>> detections.to_coco(image_id=7)[0]["bbox"]
        [10.0, 20.0, 40.0, 20.0]
        >>> detections.plot(Image.new("RGB", (200, 100))).size
        (200, 100)
    """

    xyxy: np.ndarray
    confidence: np.ndarray
    class_id: np.ndarray
    image_size: tuple[int, int]
    class_names: tuple[str, ...] | None = None
    path: Path | None = None
    tracker_id: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Convert the arrays to float32 and int64, and check them."""
        xyxy = np.asarray(self.xyxy, "float32")
        xyxy = xyxy if xyxy.size else xyxy.reshape(0, 4)
        confidence, class_id = np.asarray(self.confidence, "float32"), np.asarray(self.class_id)
        if xyxy.ndim != 2 or xyxy.shape[1] != 4:
            raise ValueError(
                f"`xyxy` must be an array (n, 4). Received: an array of shape {xyxy.shape}"
            )
        tracker_id = None if self.tracker_id is None else np.asarray(self.tracker_id, "int64")
        ids = class_id if tracker_id is None else tracker_id
        for name, array in (
            *(("confidence", confidence), ("class_id", class_id)),
            ("tracker_id", ids),
        ):
            if array.shape != (len(xyxy),):
                raise ValueError(
                    f"`{name}` must be an array (n,) with one value for each of the {len(xyxy)} "
                    f"boxes. Received: an array of shape {array.shape}"
                )
        if not np.isfinite(xyxy).all() or (xyxy[:, 2:] < xyxy[:, :2]).any():
            raise ValueError(
                "`xyxy` must be finite: left, top, right (>= left), bottom (>= top). "
                f"Received: xyxy={xyxy}"
            )
        if not ((confidence >= 0) & (confidence <= 1)).all():
            raise ValueError(f"`confidence` must be in 0..1. Received: confidence={confidence}")
        if (class_id != class_id.astype("int64")).any() or (class_id < 0).any():
            raise ValueError(f"`class_id` must be integers from 0. Received: class_id={class_id}")
        names = None if self.class_names is None else tuple(self.class_names)
        if names is not None and class_id.max(initial=-1) >= len(names):
            raise ValueError(
                f"`class_id` must be less than the number of `class_names`, {len(names)}. "
                f"Received: class_id={class_id}"
            )
        height, width = self.image_size if np.shape(self.image_size) == (2,) else (0, 0)
        if height < 1 or width < 1:
            raise ValueError(
                "`image_size` must be (height, width), both at least 1. "
                f"Received: image_size={self.image_size}"
            )
        object.__setattr__(self, "xyxy", xyxy)
        object.__setattr__(self, "confidence", confidence)
        object.__setattr__(self, "class_id", class_id.astype("int64"))
        object.__setattr__(self, "image_size", (int(height), int(width)))
        object.__setattr__(self, "class_names", names)
        object.__setattr__(self, "tracker_id", tracker_id)

    @classmethod
    def from_outputs(
        cls,
        outputs: Mapping[str, np.ndarray],
        image_size: tuple[int, int],
        class_names: Sequence[str] | None = None,
        path: Path | None = None,
    ) -> Self:
        """Return the detections of one image from the outputs of a detector, without the padding.

        Args:
            outputs: one image's `"boxes"` `(n, 4)`, as corners in pixels of the image,
                `"confidence"` and `"classes"` `(n,)`, and `"num_detections"`.
            image_size: height and width of the image, in pixels.
            class_names: names of the classes, or `None`.
            path: the image file, or `None`.
        """
        count = int(outputs["num_detections"])
        xyxy, confidence, class_id = (
            outputs[name][:count] for name in ("boxes", "confidence", "classes")
        )
        # Width and height are exponentials, which may overflow in an untrained network.
        finite = np.isfinite(xyxy).all(axis=1)
        names = None if class_names is None else tuple(class_names)
        arrays = xyxy[finite], confidence[finite].clip(0, 1), class_id[finite]
        return cls(*arrays, image_size, names, path)

    def __len__(self) -> int:
        return len(self.xyxy)

    def __iter__(self) -> Iterator[Detection]:
        arrays = (self.xyxy, self.confidence, self.class_id)
        ids = [None] * len(self) if self.tracker_id is None else self.tracker_id.tolist()
        for xyxy, confidence, class_id, i in zip(*(a.tolist() for a in arrays), ids, strict=True):
            yield Detection(tuple(xyxy), confidence, class_id, self._name(class_id), i)

    __reversed__ = None  # `reversed` would index, and so give `Detections` of one object each

    def __getitem__(self, index: int | slice | Sequence[int] | np.ndarray) -> Self:
        """Return the selected detections.

        Args:
            index: an integer, a slice, a boolean array `(n,)`, or an array of integers.
        """
        if isinstance(index, slice):
            rows = np.arange(len(self))[index]
        else:
            rows = np.atleast_1d(np.asarray(index))
            rows = rows if rows.dtype == bool or rows.size else rows.astype("int64")
        return replace(
            self,
            xyxy=self.xyxy[rows],
            confidence=self.confidence[rows],
            class_id=self.class_id[rows],
            tracker_id=None if self.tracker_id is None else self.tracker_id[rows],
        )

    def __repr__(self) -> str:
        return f"Detections({self.summary()}; image_size={self.image_size})"

    @property
    def class_name(self) -> np.ndarray | None:
        """The name of each object's class, an array `(n,)`; `None` where names are unknown."""
        if self.class_names is None:
            return None
        return np.array([self.class_names[i] for i in self.class_id], dtype=str)

    def summary(self) -> str:
        """Return the number of objects of each class, such as `"12 RBC, 1 WBC"`."""
        counts = zip(*np.unique(self.class_id, return_counts=True), strict=True)
        names = (f"{count} {self._name(i) or f'of class {i}'}" for i, count in counts)
        return ", ".join(names) or "no objects"

    def plot(self, image: str | Path | Image.Image | np.ndarray | None = None) -> Image.Image:
        """Draw the boxes into a copy of the image, with class names and confidences.

        Args:
            image: the image of the detections: a path, a Pillow image, or an array
                `(height, width, 3)`, RGB in 0..255. It may be left out if `path` is known.

        Returns:
            A new Pillow image.

        Raises:
            ValueError: if there is no image, or it is of another size.
        """
        image = self.path if image is None else image
        if image is None:
            raise ValueError(
                "These detections are not those of a file: pass the image to draw on, such as "
                "`detections.plot(image)`."
            )
        return draw_boxes(image, self)

    def save(
        self, path: str | Path, image: str | Path | Image.Image | np.ndarray | None = None
    ) -> None:
        """Write the picture of `plot` to a file, atomically.

        Args:
            path: the file, which ends in `.jpg`, `.jpeg` or `.png`.
            image: as in `plot`.

        Raises:
            ValueError: as in `plot`, or if `path` ends in another suffix.
        """
        save_picture(self.plot(image), path)

    def counts(self, num_classes: int) -> np.ndarray:
        """Return the number of detections of each class, an integer array `(num_classes,)`."""
        return np.bincount(self.class_id, minlength=num_classes)

    def _name(self, class_id: int) -> str | None:
        return None if self.class_names is None else self.class_names[class_id]
