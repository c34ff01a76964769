"""`DetectionOptions`: the options of a detector's post-processing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from cspdarknet._arguments import (
    check_bool,
    check_count,
    check_fraction,
    is_integer,
)
from cspdarknet._image_size import ImageSize, check_image_size
from cspdarknet.score_thresholds import (
    NamedThresholds,
    ScoreThreshold,
    check_named_thresholds,
    check_score_threshold,
    is_named,
    of_classes,
)

MAX_DETECTIONS = 100_000
COUNTS = {
    "max_detections": MAX_DETECTIONS,
    "max_detections_per_class": MAX_DETECTIONS,
}


@dataclass(frozen=True)
class DetectionOptions:
    """Options of a detector's post-processing; `None` means the model's own value.

    Args:
        score_threshold: float in 0..1: detections of a lower confidence are dropped. One number
            for all classes; a sequence with one for each; or a dict from names of classes to
            theirs, where the other classes keep those of the model.
        iou_threshold: float in 0..1. NMS drops a box whose IoU with a higher-scoring box of the
            same class is above it.
        max_detections: maximum number of detections per image.
        image_size: side in pixels of the square that images are letterboxed to, or a pair (height,
            width).
        classes: names or ids of the classes to detect; `None` for all. Objects of other classes
            are dropped before NMS. The ids of the classes stay those of the model.
        class_agnostic_nms: whether NMS drops a box whatever the class of the higher-scoring box
            that it overlaps, so that an object is not detected as two classes.
        max_detections_per_class: maximum number of detections of each class in an image, the
            highest-scoring ones after NMS. A number as large as `max_detections` is no limit.

    Raises:
        ValueError: if a value is out of range.

    Example:
        >>> options = DetectionOptions(score_threshold=0.5, classes=["dog"])
        >>> options.filled(0.25, 0.65, 100, 416).max_detections
        100
        >>> options.for_classes(["cat", "dog"], 0.25).classes
        (1,)
    """

    score_threshold: ScoreThreshold | NamedThresholds | None = None
    iou_threshold: float | None = None
    max_detections: int | None = None
    image_size: ImageSize | None = None
    classes: Sequence[str | int] | None = None
    class_agnostic_nms: bool | None = None
    max_detections_per_class: int | None = None

    def __post_init__(self) -> None:
        for name, value in self._checked().items():
            object.__setattr__(self, name, value)

    def _checked(self) -> dict[str, Any]:
        """Return the given values as Python types."""
        given = {name: value for name, value in vars(self).items() if value is not None}
        checked: dict[str, Any] = {
            name: check_count(name, given[name], most=most)
            for name, most in COUNTS.items()
            if name in given
        }
        if "image_size" in given:
            checked["image_size"] = check_image_size(given["image_size"])
        scores: Any = given.get("score_threshold")
        if isinstance(scores, Mapping) or is_named(scores):
            checked["score_threshold"] = check_named_thresholds(dict(scores))
        elif scores is not None:
            checked["score_threshold"] = check_score_threshold(scores)
        if "iou_threshold" in given:
            checked["iou_threshold"] = check_fraction("iou_threshold", given["iou_threshold"])
        if "classes" in given:
            checked["classes"] = check_classes(given["classes"])
        if "class_agnostic_nms" in given:
            value = given["class_agnostic_nms"]
            checked["class_agnostic_nms"] = check_bool("class_agnostic_nms", value)
        return checked

    def filled(
        self,
        score_threshold: ScoreThreshold,
        iou_threshold: float,
        max_detections: int,
        image_size: ImageSize,
        class_agnostic_nms: bool = False,
        max_detections_per_class: int | None = None,
    ) -> Self:
        """Return the options with the given defaults in place of `None`."""
        defaults: dict[str, Any] = {
            "score_threshold": score_threshold,
            "iou_threshold": iou_threshold,
            "max_detections": max_detections,
            "image_size": image_size,
            "class_agnostic_nms": class_agnostic_nms,
            "max_detections_per_class": max_detections_per_class,
        }
        missing = [name for name in defaults if getattr(self, name) is None]
        return replace(self, **{name: defaults[name] for name in missing})

    def for_classes(self, class_names: Sequence[str], score_threshold: ScoreThreshold) -> Self:
        """Return the options with thresholds and classes by id in place of those by name.

        Args:
            class_names: names of the model's classes.
            score_threshold: threshold of the classes that are not named.

        Raises:
            ValueError: if the thresholds or the classes are not those of the model.
        """
        scores, classes = self.score_threshold, self.classes
        if scores is not None:
            scores = of_classes(scores, score_threshold, class_names)
        if classes is not None:
            classes = class_ids(classes, class_names)
        return replace(self, score_threshold=scores, classes=classes)


def check_options(options: Any) -> DetectionOptions | None:
    """Return detection options, or `None` if they are not given.

    Raises:
        ValueError: if it is anything else.
    """
    if options is not None and not isinstance(options, DetectionOptions):
        raise ValueError(
            f"`options` must be DetectionOptions or None. Received: options={options!r}"
        )
    return options


def check_classes(value: Any) -> tuple[str | int, ...]:
    """Accept a list of names or ids of classes.

    Raises:
        ValueError: if it is empty, or holds something else.
    """
    is_list = isinstance(value, (list, tuple, set, frozenset, range, np.ndarray))
    items = sorted(value, key=str) if isinstance(value, (set, frozenset)) else value
    classes = [int(x) if is_integer(x) else x for x in items] if is_list and np.ndim(items) else []
    if not classes or not all(x >= 0 if is_integer(x) else isinstance(x, str) for x in classes):
        raise ValueError(
            "`classes` must be a list of names or ids of classes, such as ['cat', 'dog'] or "
            f"[0, 2], with one or more. Received: classes={value!r}"
        )
    return tuple(classes)


def class_ids(classes: Sequence[str | int], class_names: Sequence[str]) -> tuple[int, ...]:
    """Return the ids of classes, in ascending order.

    Args:
        classes: names or ids; an id may be text where no class has that name.
        class_names: names of all classes, in the order of their ids.

    Raises:
        ValueError: if there is no such class.

    Example:
        >>> class_ids(["dog", 0, "2"], ["cat", "dog", "hen"])
        (0, 1, 2)
    """
    ids = {item: _class_id(item, class_names) for item in classes}
    if unknown := [str(item) for item, i in ids.items() if i is None]:
        raise ValueError(
            f"`classes` must be classes of the model: {', '.join(class_names)}; or their ids, 0 to "
            f"{len(class_names) - 1}. Received: {', '.join(unknown)}"
        )
    return tuple(sorted({i for i in ids.values() if i is not None}))


def _class_id(item: str | int, class_names: Sequence[str]) -> int | None:
    if isinstance(item, str) and item in class_names:
        return list(class_names).index(item)
    if isinstance(item, str) and not item.isdecimal():
        return None
    return int(item) if 0 <= int(item) < len(class_names) else None
