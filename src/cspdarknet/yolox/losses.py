"""The losses of YOLOX: overlap, objectness, class, and late in a training L1.

References:
    YOLOX (https://arxiv.org/abs/2107.08430) section 2; `yolox/models/yolo_head.py`, `losses.py`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from cspdarknet.yolox.anchors import anchor_grid, decode_boxes, encode_boxes
from cspdarknet.yolox.simota import Assignment, assign

BOX_WEIGHT = 5.0


def yolox_losses(
    predictions: Mapping[str, Any],
    true_boxes: Any,
    true_classes: Any,
    image_size: tuple[Any, Any],
    strides: Sequence[int],
    sample_weight: Any = None,
) -> dict[str, Any]:
    """Compute each part of the loss of a batch.

    Each is a sum over the batch, divided by the number of places that answer for an object.

    Args:
        predictions: the head's outputs.
        true_boxes: `(batch, objects, 4)`: center x and y, width, height, in pixels.
        true_classes: int `(batch, objects)`; -1 marks padding. Objects of classes beyond those of
            the predictions, and with boxes that are no numbers or of negative size, don't count.
        image_size: height and width of the images in pixels.
        strides: of the levels.
        sample_weight: optional `(batch,)`, weight of each image. The number of places is weighted
            too, so that only the ratios between images matter.

    Returns:
        Scalars by name: `"box"` (1 - IoU², times 5), `"objectness"`, `"class"` and `"l1"`.
    """
    raw = ops.cast(predictions["boxes"], "float32")
    objectness = ops.cast(predictions["objectness"], "float32")
    classes = ops.cast(predictions["classes"], "float32")
    true_boxes, true_classes = _only_possible(true_boxes, true_classes, ops.shape(classes)[-1])
    grid, steps = anchor_grid(*image_size, strides)
    boxes = decode_boxes(raw, grid, steps)
    found = assign(boxes, objectness, classes, true_boxes, true_classes, grid, steps)

    weight = ops.ones_like(raw[:, 0, 0])
    if sample_weight is not None:
        weight = ops.cast(ops.reshape(sample_weight, ops.shape(weight)), "float32")
    positive = ops.cast(found.positive, "float32") * weight[:, None]
    count = ops.maximum(ops.sum(positive), 1.0)
    target = ops.take_along_axis(true_boxes, found.matched[:, :, None], axis=1)
    # What a place without an object is compared with doesn't count, but has to be finite.
    target = ops.where(found.positive[:, :, None], target, ops.stop_gradient(boxes))

    overlap = 1 - _iou(boxes, target) ** 2
    present = _cross_entropy(objectness[:, :, 0], ops.cast(found.positive, "float32"))
    kinds = _cross_entropy(classes, _class_targets(found, true_classes, ops.shape(classes)[-1]))
    distance = ops.abs(raw - encode_boxes(target, grid, steps))
    return {
        "box": BOX_WEIGHT * ops.sum(overlap * positive) / count,
        "objectness": ops.sum(present * weight[:, None]) / count,
        "class": ops.sum(ops.sum(kinds, axis=-1) * positive) / count,
        "l1": ops.sum(ops.sum(distance, axis=-1) * positive) / count,
    }


def _only_possible(true_boxes: Any, true_classes: Any, classes: Any) -> tuple[Any, Any]:
    """Turn objects that cannot be into padding: a single NaN would spread over the batch."""
    boxes, labels = ops.cast(true_boxes, "float32"), ops.cast(true_classes, "int32")
    good = (labels >= 0) & (labels < classes)
    good = good & ops.all(ops.isfinite(boxes), axis=-1) & ops.all(boxes[..., 2:] >= 0, axis=-1)
    return ops.where(good[..., None], boxes, 0.0), ops.where(good, labels, -1)


def _class_targets(found: Assignment, true_classes: Any, classes: Any) -> Any:
    """Return one-hot classes, times the overlap: a box that is half right is half sure."""
    label = ops.take_along_axis(true_classes, found.matched, axis=1)
    return ops.one_hot(label, classes) * found.iou[:, :, None]


def _iou(a: Any, b: Any) -> Any:
    """Return the overlap of boxes with their partners, both as center, width and height."""
    end = ops.minimum(a[..., :2] + a[..., 2:] / 2, b[..., :2] + b[..., 2:] / 2)
    start = ops.maximum(a[..., :2] - a[..., 2:] / 2, b[..., :2] - b[..., 2:] / 2)
    sides = ops.maximum(end - start, 0.0)
    overlap = sides[..., 0] * sides[..., 1]
    union = a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3] - overlap
    return overlap / (union + 1e-16)


def _cross_entropy(logits: Any, target: Any) -> Any:
    return ops.maximum(logits, 0.0) - logits * target + ops.log1p(ops.exp(-ops.abs(logits)))
