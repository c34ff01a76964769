"""Post-processing of YOLOX's raw outputs as Keras layers with static shapes: decoding and NMS.

References:
    `decode_outputs` of `yolox/models/yolo_head.py` and `postprocess` of `yolox/utils/boxes.py`.
"""

import math
from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from cspdarknet._image_size import ImageSize, check_image_size, sides
from cspdarknet._image_size import to_json as size_to_json
from cspdarknet.score_thresholds import check_score_threshold, per_class, to_json
from cspdarknet.yolox.anchors import anchor_grid, decode_boxes
from cspdarknet.yolox.boxes import Corners, from_xyxy, intersection_and_union

# Number of highest-scoring anchor points of an image that NMS is applied to.
MAX_CANDIDATES = 2048


@keras.saving.register_keras_serializable(package="cspdarknet")
class DecodeBoxes(keras.layers.Layer):
    """Convert raw outputs to boxes and scores.

    Args:
        image_size: side in pixels of the network's square input, or its height and width.
        strides: stride of each level in pixels.

    Returns:
        Boxes `(batch, anchors, 4)`: left, top, right and bottom, in pixels of that input; and
        scores `(batch, anchors, num_classes)`: objectness times class probability.
    """

    def __init__(self, image_size: ImageSize, strides: Sequence[int], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_size, self.strides = check_image_size(image_size), tuple(strides)

    def call(self, outputs: dict[str, Any]) -> tuple[Any, Any]:
        """Decode the raw outputs, a dict of `"boxes"`, `"objectness"` and `"classes"`."""
        grid, strides = anchor_grid(*sides(self.image_size), self.strides)
        boxes = decode_boxes(outputs["boxes"], grid, strides)
        center, half = boxes[..., :2], boxes[..., 2:] / 2
        xyxy = ops.concatenate([center - half, center + half], axis=-1)
        return xyxy, ops.sigmoid(outputs["objectness"]) * ops.sigmoid(outputs["classes"])

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer."""
        size = size_to_json(self.image_size)
        return {**super().get_config(), "image_size": size, "strides": self.strides}


@keras.saving.register_keras_serializable(package="cspdarknet")
class NonMaxSuppression(keras.layers.Layer):
    """Non-maximum suppression (NMS), class-aware by default.

    Each anchor point has one class, its highest-scoring one. Of overlapping boxes of one class only
    the highest-scoring is kept.

    Args:
        score_threshold: lowest score of a detection: one for all classes, or one for each.
        iou_threshold: a box is dropped if its IoU with a kept box of its class is above this.
        max_detections: number of detections returned for each image.
        classes: ids of the classes that are kept; `None` for all. Boxes of other classes are
            dropped before NMS.
        class_agnostic_nms: whether the IoU with kept boxes of other classes counts, too.
        max_detections_per_class: maximum number of detections of each class in an image, of those
            that NMS keeps; `None` for no limit.

    Returns:
        A dict: `"boxes"` `(batch, max_detections, 4)`, `"confidence"` in descending order and
        `"classes"`, both `(batch, max_detections)`, and `"num_detections"` `(batch,)`. Unused
        entries are -1.
    """

    def __init__(
        self,
        score_threshold: float | Sequence[float],
        iou_threshold: float,
        max_detections: int,
        classes: Sequence[int] | None = None,
        class_agnostic_nms: bool = False,
        max_detections_per_class: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.score_threshold = check_score_threshold(score_threshold)
        self.iou_threshold = iou_threshold
        self.max_detections = max_detections
        self.classes = None if classes is None else tuple(classes)
        self.class_agnostic_nms = class_agnostic_nms
        self.max_detections_per_class = max_detections_per_class

    def class_thresholds(self, num_classes: int) -> tuple[float, ...]:
        """Return the lowest score of each class, infinite for classes that are not kept."""
        thresholds = per_class(self.score_threshold, num_classes)
        kept = range(num_classes) if self.classes is None else self.classes
        return tuple(x if i in kept else math.inf for i, x in enumerate(thresholds))

    @property
    def has_one_threshold(self) -> bool:
        """Whether all classes are kept, and have the same threshold."""
        return self.classes is None and not isinstance(self.score_threshold, tuple)

    def compute_output_spec(self, boxes: Any, scores: Any) -> dict[str, Any]:
        """Return the symbolic outputs, without tracing the loop."""
        check_score_threshold(self.score_threshold, scores.shape[-1])
        batch, count = boxes.shape[0], self.max_detections
        return {
            "boxes": keras.KerasTensor((batch, count, 4), boxes.dtype),
            "confidence": keras.KerasTensor((batch, count), scores.dtype),
            "classes": keras.KerasTensor((batch, count), "int32"),
            "num_detections": keras.KerasTensor((batch,), "int32"),
        }

    def call(self, boxes: Any, scores: Any) -> dict[str, Any]:
        """Apply NMS to the outputs of `DecodeBoxes`."""
        classes = ops.cast(ops.argmax(scores, axis=-1), "int32")
        scores = self._above_threshold(ops.max(scores, axis=-1), classes, scores.shape[-1])
        scores, anchors = ops.top_k(scores, min(MAX_CANDIDATES, scores.shape[1]))
        boxes = ops.take_along_axis(boxes, anchors[:, :, None], axis=1)
        classes = ops.take_along_axis(classes, anchors, axis=1)
        kept, confidence = self._select(boxes, classes, scores)
        used = kept >= 0
        index = ops.maximum(kept, 0)
        boxes = ops.take_along_axis(boxes, index[:, :, None], axis=1)
        return {
            "boxes": ops.where(used[:, :, None], boxes, -1.0),
            "confidence": confidence,
            "classes": ops.where(used, ops.take_along_axis(classes, index, axis=1), -1),
            "num_detections": ops.sum(ops.cast(used, "int32"), axis=1),
        }

    def _above_threshold(self, scores: Any, classes: Any, num_classes: int) -> Any:
        """Return the scores, with -1 for those below the threshold of their class."""
        thresholds: Any = self.score_threshold
        if not self.has_one_threshold:
            thresholds = self.class_thresholds(num_classes)
            thresholds = ops.take(ops.convert_to_tensor(thresholds, scores.dtype), classes)
        return ops.where(scores >= thresholds, scores, -1.0)

    def _select(self, boxes: Any, classes: Any, remaining: Any) -> tuple[Any, Any]:
        """Return the indices of the candidates that are kept, -1 where unused, and their scores."""
        corners = from_xyxy(boxes)
        indices = ops.arange(ops.shape(boxes)[1])
        slots, limit = ops.arange(self.max_detections), self.max_detections_per_class

        def step(remaining: Any, kept: Any, confidence: Any) -> tuple[Any, Any, Any]:
            best = ops.cast(ops.argmax(remaining, axis=1), "int32")[:, None]

            def at_best(values: Any) -> Any:
                return ops.take_along_axis(values, best, axis=1)

            score, is_same_class = at_best(remaining), classes == at_best(classes)
            best_corners = Corners(*map(at_best, corners))
            intersection, union = intersection_and_union(corners, best_corners)
            # The IoU is above the threshold, written without a division.
            overlapping = intersection > self.iou_threshold * union
            if not self.class_agnostic_nms:
                overlapping &= is_same_class
            dropped = overlapping | (indices == best)
            is_kept = score >= 0
            if limit is not None:
                count = _count_of_class(at_best(classes), classes, kept)
                is_kept &= count < limit
                # The boxes of a complete class still drop those of others in class-agnostic NMS.
                if not self.class_agnostic_nms:
                    dropped |= is_same_class & (count + 1 >= limit)
            slot = is_kept & (slots == ops.sum(ops.cast(kept >= 0, "int32"), 1, keepdims=True))
            return (
                ops.where(dropped, -1.0, remaining),
                ops.where(slot, best, kept),
                ops.where(slot, score, confidence),
            )

        unused = ops.full((ops.shape(remaining)[0], self.max_detections), -1, dtype="int32")
        state = (remaining, unused, ops.cast(unused, remaining.dtype))
        if _is_traced_by_torch():
            if limit is not None and self.class_agnostic_nms:
                raise ValueError(
                    "A PyTorch program cannot have both `class_agnostic_nms` and "
                    "`max_detections_per_class`: each candidate would be a step of its loop. Leave "
                    "one of them out, or export to ONNX."
                )
            _, kept, confidence = ops.fori_loop(
                0, self.max_detections, lambda _, state: step(*state), state
            )
            return kept, confidence

        def continues(remaining: Any, kept: Any, _: Any) -> Any:
            return ops.any((remaining >= 0) & (kept[:, -1:] < 0))

        _, kept, confidence = ops.while_loop(continues, step, state)
        return kept, confidence

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer."""
        return {
            **super().get_config(),
            "score_threshold": to_json(self.score_threshold),
            "iou_threshold": self.iou_threshold,
            "max_detections": self.max_detections,
            "classes": None if self.classes is None else list(self.classes),
            "class_agnostic_nms": self.class_agnostic_nms,
            "max_detections_per_class": self.max_detections_per_class,
        }


def _count_of_class(class_id: Any, classes: Any, kept: Any) -> Any:
    """Return the number of kept candidates of a class, `(batch, 1)`."""
    kept_classes = ops.take_along_axis(classes, ops.maximum(kept, 0), axis=1)
    is_class = (kept >= 0) & (kept_classes == class_id)
    return ops.sum(ops.cast(is_class, "int32"), axis=1, keepdims=True)


def _is_traced_by_torch() -> bool:
    """Whether PyTorch traces the graph: it cannot trace a loop whose end depends on the data."""
    if keras.backend.backend() != "torch":
        return False
    import torch

    return bool(torch.compiler.is_compiling() or torch.jit.is_tracing())


@keras.saving.register_keras_serializable(package="cspdarknet")
class RestoreBoxes(keras.layers.Layer):
    """Map boxes from letterboxed images back to the original images.

    Args:
        image_size: size of the letterboxed images: the side of squares, or height and width.
        bounding_box_format: format of the returned boxes, a name of `keras.utils.bounding_boxes`.
    """

    def __init__(self, image_size: ImageSize, bounding_box_format: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.image_size = check_image_size(image_size)
        self.bounding_box_format = bounding_box_format

    def call(self, boxes: Any, image_sizes: Any) -> Any:
        """Map boxes `(batch, n, 4)` to images of the heights and widths `(batch, 2)`."""
        sizes = ops.cast(image_sizes, boxes.dtype)[:, None, :]
        size = self.image_size
        if isinstance(size, tuple):
            size = ops.convert_to_tensor(size, boxes.dtype)
        ratio = ops.min(size / sizes, axis=-1, keepdims=True)
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
        """Return the symbolic output: the shape of the boxes does not change."""
        return keras.KerasTensor(boxes.shape, boxes.dtype)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer."""
        return {
            **super().get_config(),
            "image_size": size_to_json(self.image_size),
            "bounding_box_format": self.bounding_box_format,
        }
