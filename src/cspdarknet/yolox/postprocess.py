"""From the head's numbers to a list of objects, as layers of a graph with static shapes."""

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from cspdarknet.yolox.anchors import anchor_grid, decode_boxes

# Places that non-maximum suppression looks at, the surest first.
CANDIDATES = 2048


@keras.saving.register_keras_serializable(package="cspdarknet")
class DecodeBoxes(keras.layers.Layer):
    """Turn the head's outputs into boxes and scores.

    Args:
        image_size: side in pixels of the square that the network sees.
        strides: of the levels.

    Returns:
        Boxes `(batch, places, 4)`, corners in pixels of that square, and scores
        `(batch, places, classes)`: objectness times class probability.
    """

    def __init__(self, image_size: int, strides: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_size, self.strides = image_size, tuple(strides)

    def call(self, outputs: dict[str, Any]) -> tuple[Any, Any]:
        """Decode."""
        grid, strides = anchor_grid(self.image_size, self.image_size, self.strides)
        boxes = decode_boxes(outputs["boxes"], grid, strides)
        center, half = boxes[..., :2], boxes[..., 2:] / 2
        corners = ops.concatenate([center - half, center + half], axis=-1)
        return corners, ops.sigmoid(outputs["objectness"]) * ops.sigmoid(outputs["classes"])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "image_size": self.image_size, "strides": self.strides}


@keras.saving.register_keras_serializable(package="cspdarknet")
class NonMaxSuppression(keras.layers.Layer):
    """Keep the surest of boxes of one class that overlap.

    Each place speaks for its likeliest class only.

    Args:
        score_threshold: least score of an object.
        iou_threshold: boxes of one class that overlap more than this are the same object.
        max_detections: number of objects returned of an image.

    Returns:
        A dict: `"boxes"` `(batch, max_detections, 4)`, `"confidence"` in descending order,
        `"classes"` `(batch, max_detections)`, and `"num_detections"` `(batch,)`. What is not
        used is -1.
    """

    def __init__(
        self, score_threshold: float, iou_threshold: float, max_detections: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.score_threshold = score_threshold
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections

    def compute_output_spec(self, boxes: Any, scores: Any) -> dict[str, Any]:
        """Return the form of the result, without running the loop."""
        batch, count = boxes.shape[0], self.max_detections
        return {
            "boxes": keras.KerasTensor((batch, count, 4), boxes.dtype),
            "confidence": keras.KerasTensor((batch, count), scores.dtype),
            "classes": keras.KerasTensor((batch, count), "int32"),
            "num_detections": keras.KerasTensor((batch,), "int32"),
        }

    def call(self, boxes: Any, scores: Any) -> dict[str, Any]:
        """Suppress."""
        classes = ops.cast(ops.argmax(scores, axis=-1), "int32")
        surest, places = ops.top_k(ops.max(scores, axis=-1), min(CANDIDATES, scores.shape[1]))
        boxes = ops.take_along_axis(boxes, places[:, :, None], axis=1)
        classes = ops.take_along_axis(classes, places, axis=1)
        kept, confidence = self._select(boxes, classes, surest)
        found = kept >= 0
        index = ops.maximum(kept, 0)
        corners = ops.take_along_axis(boxes, index[:, :, None], axis=1)
        return {
            "boxes": ops.where(found[:, :, None], corners, -1.0),
            "confidence": confidence,
            "classes": ops.where(found, ops.take_along_axis(classes, index, axis=1), -1),
            "num_detections": ops.sum(ops.cast(found, "int32"), axis=1),
        }

    def _select(self, boxes: Any, classes: Any, scores: Any) -> tuple[Any, Any]:
        """Return the candidates that are kept, by their numbers, and their scores."""
        x1, y1, x2, y2 = (boxes[..., i] for i in range(4))
        area = (x2 - x1) * (y2 - y1)
        numbers = ops.arange(ops.shape(boxes)[1])
        slots = ops.arange(self.max_detections)

        def step(i: Any, state: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
            left, kept, confidence = state
            best = ops.cast(ops.argmax(left, axis=1), "int32")[:, None]

            def at_best(values: Any) -> Any:
                return ops.take_along_axis(values, best, axis=1)

            score = at_best(left)
            width = ops.minimum(x2, at_best(x2)) - ops.maximum(x1, at_best(x1))
            height = ops.minimum(y2, at_best(y2)) - ops.maximum(y1, at_best(y1))
            overlap = ops.maximum(width, 0.0) * ops.maximum(height, 0.0)
            # Without a division: the overlap's share of the union is above the threshold.
            union = area + at_best(area) - overlap
            same = (overlap > self.iou_threshold * union) & (classes == at_best(classes))
            left = ops.where(same | (numbers == best), -1.0, left)
            here = (slots == i) & (score >= 0)
            return left, ops.where(here, best, kept), ops.where(here, score, confidence)

        none = ops.full((ops.shape(scores)[0], self.max_detections), -1, dtype="int32")
        left = ops.where(scores >= self.score_threshold, scores, -1.0)
        state = (left, none, ops.cast(none, scores.dtype))
        if _is_traced_by_torch():
            _, kept, confidence = ops.fori_loop(0, self.max_detections, step, state)
            return kept, confidence

        def goes_on(i: Any, left: Any, *_: Any) -> Any:
            return (i < self.max_detections) & ops.any(left >= 0)

        def turn(i: Any, *state: Any) -> tuple[Any, ...]:
            return i + 1, *step(i, state)  # type: ignore[arg-type]

        start = ops.convert_to_tensor(0, dtype="int32")
        _, _, kept, confidence = ops.while_loop(goes_on, turn, (start, *state))
        return kept, confidence

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        names = ("score_threshold", "iou_threshold", "max_detections")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def _is_traced_by_torch() -> bool:
    """Whether PyTorch records the graph: it cannot follow a loop that ends by what it finds."""
    if keras.backend.backend() != "torch":
        return False
    import torch

    return bool(torch.compiler.is_compiling() or torch.jit.is_tracing())


@keras.saving.register_keras_serializable(package="cspdarknet")
class RestoreBoxes(keras.layers.Layer):
    """Put boxes back from the letterboxed square into the photo, in the wanted format.

    Args:
        image_size: side of the square in pixels.
        bounding_box_format: one of the names of `keras.utils.bounding_boxes`.
    """

    def __init__(self, image_size: int, bounding_box_format: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_size, self.bounding_box_format = image_size, bounding_box_format

    def call(self, boxes: Any, image_sizes: Any) -> Any:
        """Restore boxes `(batch, n, 4)` with the photos' heights and widths, `(batch, 2)`."""
        sizes = ops.cast(image_sizes, boxes.dtype)[:, None, :]
        ratio = ops.min(self.image_size / sizes, axis=-1, keepdims=True)
        restored = keras.utils.bounding_boxes.convert_format(
            boxes / ratio,
            "xyxy",
            self.bounding_box_format,
            height=sizes[..., :1],
            width=sizes[..., 1:],
            dtype=boxes.dtype,
        )
        return ops.where(ops.all(boxes == -1.0, axis=-1, keepdims=True), -1.0, restored)

    def compute_output_spec(self, boxes: Any, image_sizes: Any) -> Any:  # noqa: ARG002
        """Boxes stay boxes."""
        return keras.KerasTensor(boxes.shape, boxes.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        names = ("image_size", "bounding_box_format")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
