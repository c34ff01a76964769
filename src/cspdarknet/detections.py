"""What a detector says of one photo."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Detections:
    """The objects that a detector finds in one photo.

    Attributes:
        boxes: float32 array `(n, 4)`: left, top, right and bottom, in pixels of the photo.
        scores: float32 array `(n,)`: how sure the detector is of each, in 0..1.
        classes: int64 array `(n,)`: the index of each object's class.
        image_size: height and width of the photo, in pixels.

    Raises:
        ValueError: if the arrays are not of this form, or do not fit each other.

    Example:
        >>> found = Detections([[10, 20, 50, 40]], [0.9], [1], image_size=(100, 200))
        >>> found.to_json(["red cell", "white cell"])
        [{'class': 'white cell', 'score': 0.9, 'box': [10.0, 20.0, 50.0, 40.0]}]
        >>> found.to_coco(image_id=7)[0]["bbox"]
        [10.0, 20.0, 40.0, 20.0]
    """

    boxes: np.ndarray
    scores: np.ndarray
    classes: np.ndarray
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        """Turn the arrays into their own kinds, and check them."""
        boxes = np.asarray(self.boxes, "float32")
        scores, classes = np.asarray(self.scores, "float32"), np.asarray(self.classes)
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ValueError(f"`boxes` must be an array (n, 4). Received the shape {boxes.shape}")
        for name, array in (("scores", scores), ("classes", classes)):
            if array.shape != (len(boxes),):
                raise ValueError(
                    f"`{name}` must be an array (n,), as many as boxes. Received the shape "
                    f"{array.shape} beside {len(boxes)} boxes"
                )
        if not np.isfinite(boxes).all() or (boxes[:, 2:] < boxes[:, :2]).any():
            raise ValueError("`boxes` must be finite: left, top, right (>= left), bottom (>= top).")
        if not ((scores >= 0) & (scores <= 1)).all():
            raise ValueError(f"`scores` must be in 0..1. Received: {scores}")
        if (classes != classes.astype("int64")).any() or (classes < 0).any():
            raise ValueError(f"`classes` must be whole numbers from 0. Received: {classes}")
        height, width = self.image_size
        if height < 1 or width < 1:
            raise ValueError(f"`image_size` is (height, width). Received: {self.image_size}")
        object.__setattr__(self, "boxes", boxes)
        object.__setattr__(self, "scores", scores)
        object.__setattr__(self, "classes", classes.astype("int64"))
        object.__setattr__(self, "image_size", (int(height), int(width)))

    def __len__(self) -> int:
        return len(self.boxes)

    def take(self, indices: Sequence[int] | np.ndarray) -> "Detections":
        """Return those at these places; a boolean array picks, too."""
        picked = np.asarray(indices)
        picked = picked if picked.dtype == bool else picked.astype("int64")
        return Detections(
            self.boxes[picked], self.scores[picked], self.classes[picked], self.image_size
        )

    def counts(self, num_classes: int) -> np.ndarray:
        """Return the number of objects of each class."""
        return np.bincount(self.classes, minlength=num_classes)

    def to_json(self, class_names: Sequence[str]) -> list[dict[str, Any]]:
        """Return one entry for each object: its class, score and box, as plain JSON types."""
        return [
            {"class": class_names[label], "score": score, "box": box}
            for box, score, label in self._plain()
        ]

    def to_coco(self, image_id: int) -> list[dict[str, Any]]:
        """Return COCO's entry for each object; COCO counts categories from 1."""
        return [
            {
                "image_id": image_id,
                "category_id": label + 1,
                "bbox": [x1, y1, round(x2 - x1, 2), round(y2 - y1, 2)],
                "score": score,
            }
            for (x1, y1, x2, y2), score, label in self._plain()
        ]

    def _plain(self) -> Iterator[tuple[list[float], float, int]]:
        """Give box, score and class of each as Python's numbers, of as many digits as matter."""
        boxes = self.boxes.astype("float64").round(2).tolist()
        scores = self.scores.astype("float64").round(6).tolist()
        return zip(boxes, scores, self.classes.tolist(), strict=True)


def as_detections(found: Mapping[str, np.ndarray], image_size: tuple[int, int]) -> Detections:
    """Return what `YOLOXDetector.predict` gives of one photo, without what is padding."""
    count = int(found["num_detections"])
    boxes, scores, classes = (found[name][:count] for name in ("boxes", "confidence", "classes"))
    # The sides come out of an exponential, which overflows in a network that has learnt nothing.
    good = np.isfinite(boxes).all(axis=1)
    return Detections(boxes[good], scores[good].clip(0, 1), classes[good], image_size)
