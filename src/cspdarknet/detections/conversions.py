"""Conversions of `Detections` to and from the forms of other software."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np

from cspdarknet._extras import require
from cspdarknet.detections.box_formats import from_xyxy, to_xyxy

DECIMALS = 4  # of coordinates in files: with the rounding of width and height below 1e-3


class Conversions:
    """The methods of `Detections` that convert to and from the forms of other software."""

    xyxy: np.ndarray
    confidence: np.ndarray
    class_id: np.ndarray
    image_size: tuple[int, int]
    class_names: tuple[str, ...] | None
    tracker_id: np.ndarray | None

    # Plain JSON types.

    def to_json(self) -> list[dict[str, Any]]:
        """Return one entry for each detection, as plain JSON types.

        Returns:
            A list of dicts of `"class_id"`, `"class_name"`, `"confidence"` and `"xyxy"`, and of
            `"tracker_id"` after tracking.
        """
        names = self.class_names
        rows: list[dict[str, Any]] = [
            {
                "class_id": class_id,
                "class_name": None if names is None else names[class_id],
                "confidence": confidence,
                "xyxy": xyxy,
            }
            for xyxy, confidence, class_id in self._rounded()
        ]
        if self.tracker_id is not None:
            for row, tracker_id in zip(rows, self.tracker_id.tolist(), strict=True):
                row["tracker_id"] = tracker_id
        return rows

    def to_coco(
        self, image_id: int, category_ids: Sequence[int] | None = None
    ) -> list[dict[str, Any]]:
        """Return the entries of COCO's results format, which pycocotools' `loadRes` takes.

        Args:
            image_id: id of the image.
            category_ids: id of the category of each class; `None` for numbers from 1.
        """
        return [
            {
                "image_id": image_id,
                "category_id": class_id + 1 if category_ids is None else category_ids[class_id],
                "bbox": [x1, y1, round(x2 - x1, DECIMALS), round(y2 - y1, DECIMALS)],
                "score": confidence,
            }
            for (x1, y1, x2, y2), confidence, class_id in self._rounded()
        ]

    # Arrays of Keras.

    def to_format(self, bounding_box_format: str) -> np.ndarray:
        """Return the boxes in a format of `keras.utils.bounding_boxes`, a float32 array `(n, 4)`.

        Args:
            bounding_box_format: `"xyxy"`, `"yxyx"`, `"xywh"`, `"center_xywh"`, `"center_yxhw"`, or
                `"rel_xyxy"`, `"rel_yxyx"`, `"rel_xywh"`, `"rel_center_xywh"`: fractions of width
                and height of the image.

        Raises:
            ValueError: if it is another format.
        """
        return from_xyxy(self.xyxy, bounding_box_format, self.image_size)

    @classmethod
    def from_format(
        cls,
        boxes: Any,
        bounding_box_format: str,
        confidence: Any,
        class_id: Any,
        image_size: tuple[int, int],
        class_names: Sequence[str] | None = None,
        path: Path | None = None,
    ) -> Self:
        """Return detections from boxes in a format of `keras.utils.bounding_boxes`.

        Args:
            boxes: float array `(n, 4)`.
            bounding_box_format: as in `to_format`.
            confidence: as in `Detections`, like the other arguments.
            class_id: likewise.
            image_size: likewise.
            class_names: likewise.
            path: likewise.

        Raises:
            ValueError: if it is another format, or the values are not those of detections.
        """
        rows = _boxes(boxes)
        return cls(  # type: ignore[call-arg]
            to_xyxy(rows, bounding_box_format, image_size),
            confidence,
            class_id,
            image_size,
            class_names,
            path,
        )

    # Tensors of torchvision.

    def to_torchvision(self, first_label: int = 0) -> dict[str, Any]:
        """Return the detections as the tensors of torchvision's detectors and of torchmetrics.

        Args:
            first_label: label of the first class. Torchvision's own detectors keep 0 for the
                background, and so count classes from 1.

        Returns:
            A dict of `"boxes"`, a float32 tensor `(n, 4)` of left, top, right and bottom in pixels;
            `"labels"`, int64, and `"scores"`, float32, both `(n,)`.

        Raises:
            ImportError: if PyTorch is missing.
        """
        torch: Any = require("torch", "torch", "`Detections.to_torchvision`")
        return {
            "boxes": torch.tensor(self.xyxy),
            "labels": torch.tensor(self.class_id + first_label),
            "scores": torch.tensor(self.confidence),
        }

    @classmethod
    def from_torchvision(
        cls,
        target: Mapping[str, Any],
        image_size: tuple[int, int],
        class_names: Sequence[str] | None = None,
        first_label: int = 0,
    ) -> Self:
        """Return detections from an output, or a training target, of a torchvision detector.

        Args:
            target: a dict of `"boxes"`, `"labels"` and, unless it is ground truth, `"scores"`;
                without these, each confidence is 1.
            image_size: height and width of the image, in pixels.
            class_names: names of the classes, or `None`.
            first_label: label of the first class, as in `to_torchvision`.

        Raises:
            ValueError: if an entry is missing, or the values are not those of detections.
        """
        if not isinstance(target, Mapping) or not {"boxes", "labels"} <= set(target):
            received = list(target) if isinstance(target, Mapping) else type(target).__name__
            raise ValueError(
                f"`target` must be a dict with 'boxes' and 'labels'. Received: {received}"
            )
        xyxy, labels = _boxes(target["boxes"]), _array(target["labels"])
        scores = np.ones(len(xyxy)) if target.get("scores") is None else _array(target["scores"])
        return cls(xyxy, scores, labels - first_label, image_size, class_names)  # type: ignore[call-arg]

    # Detections of supervision.

    def to_supervision(self) -> Any:
        """Return the detections as `supervision.Detections`, with `class_name` in its `data`.

        Raises:
            ImportError: if supervision is missing.
        """
        supervision: Any = require("supervision", "supervision", "`Detections.to_supervision`")
        names = self.class_names
        named = {} if names is None else {"class_name": np.array(names, str)[self.class_id]}
        return supervision.Detections(
            xyxy=self.xyxy.copy(),
            confidence=self.confidence.copy(),
            class_id=self.class_id.copy(),
            tracker_id=None if self.tracker_id is None else self.tracker_id.copy(),
            data=named,
        )

    @classmethod
    def from_supervision(
        cls,
        detections: Any,
        image_size: tuple[int, int],
        class_names: Sequence[str] | None = None,
    ) -> Self:
        """Return detections from `supervision.Detections`, as those of its trackers and slicers.

        Masks and the rest of `data` are left out.

        Args:
            detections: the `supervision.Detections`. Without a `confidence`, each is 1.
            image_size: height and width of the image, in pixels.
            class_names: names of the classes, or `None`.

        Raises:
            ValueError: if there are no class ids, or the values are not those of detections.
        """
        count = len(detections.xyxy)
        if detections.class_id is None and count:
            raise ValueError(
                "`detections` must have a `class_id` for each object. Received: class_id=None"
            )
        confidence = np.ones(count) if detections.confidence is None else detections.confidence
        class_id = np.zeros(0, "int64") if detections.class_id is None else detections.class_id
        return cls(  # type: ignore[call-arg]
            *(detections.xyxy, confidence, class_id, image_size, class_names),
            tracker_id=detections.tracker_id,
        )

    def _rounded(self) -> Iterator[tuple[list[float], float, int]]:
        """Yield box, confidence and class of each detection, rounded for JSON."""
        xyxy = self.xyxy.astype("float64").round(DECIMALS).tolist()
        confidence = self.confidence.astype("float64").round(6).tolist()
        return zip(xyxy, confidence, self.class_id.tolist(), strict=True)


def _array(values: Any) -> np.ndarray:
    """Return a tensor of any device, or another sequence, as an array."""
    return np.asarray(values.detach().cpu() if hasattr(values, "detach") else values)


def _boxes(values: Any) -> np.ndarray:
    """Return boxes as a float32 array; those of an empty list have four columns, too."""
    boxes = _array(values).astype("float32")
    if boxes.size and (boxes.ndim != 2 or boxes.shape[1] != 4):
        raise ValueError(
            f"The boxes must be an array (n, 4). Received: an array of shape {boxes.shape}"
        )
    return boxes if boxes.size else boxes.reshape(0, 4)
