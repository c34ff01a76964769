"""The losses of YOLOX: IoU, objectness, classification, and L1 in the last epochs of a training.

References:
    YOLOX (https://arxiv.org/abs/2107.08430) section 2.1; `get_losses` of
    `yolox/models/yolo_head.py`, and `yolox/models/losses.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras import ops

from cspdarknet.yolox.anchors import anchor_grid, decode_boxes, encode_boxes
from cspdarknet.yolox.boxes import from_center, iou
from cspdarknet.yolox.simota import Assignment, assign

BOX_WEIGHT = 5.0
LOSS_NAMES = ("box", "objectness", "class", "l1")


def at_least_one(num_positives: Any) -> Any:
    """Return the divisor of the losses, given the weighted number of positives."""
    return ops.maximum(num_positives, 1.0)


def yolox_losses(
    outputs: Mapping[str, Any],
    gt_boxes: Any,
    gt_classes: Any,
    image_size: tuple[Any, Any],
    strides: Sequence[int],
    sample_weight: Any = None,
    divisor: Callable[[Any], Any] = at_least_one,
) -> dict[str, Any]:
    """Compute the losses of a batch: sums over the batch, divided by the number of positives.

    Args:
        outputs: the head's raw outputs, `"boxes"`, `"objectness"` and `"classes"`.
        gt_boxes: ground-truth boxes `(batch, objects, 4)`: center x and y, width, height, in
            pixels.
        gt_classes: integer class ids `(batch, objects)`; -1 marks padding. Objects with a class id
            beyond the outputs' classes, a negative size or NaN are treated as padding, too.
        image_size: height and width of the images in pixels.
        strides: stride of each level in pixels.
        sample_weight: optional `(batch,)`, weight of each image. The number of positives is
            weighted likewise, so that only the ratios between the weights matter.
        divisor: function from the number of positives to the divisor of the losses. It differs
            where the images are a part of a batch, as in data-parallel training.

    Returns:
        Scalars by name: `"box"` (1 - IoU², times 5), `"objectness"`, `"class"` and `"l1"`.
    """
    raw_boxes = ops.cast(outputs["boxes"], "float32")
    objectness = ops.cast(outputs["objectness"], "float32")
    classes = ops.cast(outputs["classes"], "float32")
    num_classes = ops.shape(classes)[-1]
    gt_boxes, gt_classes = _pad_invalid(gt_boxes, gt_classes, num_classes)
    grid, anchor_strides = anchor_grid(*image_size, strides)
    boxes = decode_boxes(raw_boxes, grid, anchor_strides)
    assignment = assign(boxes, objectness, classes, gt_boxes, gt_classes, grid, anchor_strides)

    weight = ops.ones_like(raw_boxes[:, 0, 0])
    if sample_weight is not None:
        weight = ops.cast(ops.reshape(sample_weight, ops.shape(weight)), "float32")
    positive = ops.cast(assignment.positive, "float32") * weight[:, None]
    num_positives = divisor(ops.sum(positive))
    box_targets = ops.take_along_axis(gt_boxes, assignment.matched[:, :, None], axis=1)
    # Targets of negative anchor points are multiplied by 0, but have to be finite.
    box_targets = ops.where(assignment.positive[:, :, None], box_targets, ops.stop_gradient(boxes))
    class_targets = _class_targets(assignment, gt_classes, num_classes)

    box_loss = 1 - iou(from_center(boxes), from_center(box_targets)) ** 2
    objectness_loss = _binary_crossentropy(
        objectness[:, :, 0], ops.cast(assignment.positive, "float32")
    )
    class_loss = ops.sum(_binary_crossentropy(classes, class_targets), axis=-1)
    l1_targets = encode_boxes(box_targets, grid, anchor_strides)
    l1_loss = ops.sum(ops.abs(raw_boxes - l1_targets), axis=-1)
    return {
        "box": BOX_WEIGHT * ops.sum(box_loss * positive) / num_positives,
        "objectness": ops.sum(objectness_loss * weight[:, None]) / num_positives,
        "class": ops.sum(class_loss * positive) / num_positives,
        "l1": ops.sum(l1_loss * positive) / num_positives,
    }


def _pad_invalid(gt_boxes: Any, gt_classes: Any, num_classes: Any) -> tuple[Any, Any]:
    """Turn impossible objects into padding: a single NaN would spread over the whole batch."""
    boxes, class_ids = ops.cast(gt_boxes, "float32"), ops.cast(gt_classes, "int32")
    valid = (class_ids >= 0) & (class_ids < num_classes)
    valid = valid & ops.all(ops.isfinite(boxes), axis=-1) & ops.all(boxes[..., 2:] >= 0, axis=-1)
    return ops.where(valid[..., None], boxes, 0.0), ops.where(valid, class_ids, -1)


def _class_targets(assignment: Assignment, gt_classes: Any, num_classes: Any) -> Any:
    """Return one-hot class targets, multiplied by the IoU of the predicted box."""
    class_ids = ops.take_along_axis(gt_classes, assignment.matched, axis=1)
    return ops.one_hot(class_ids, num_classes) * assignment.iou[:, :, None]


def _binary_crossentropy(logits: Any, targets: Any) -> Any:
    return ops.maximum(logits, 0.0) - logits * targets + ops.log1p(ops.exp(-ops.abs(logits)))
