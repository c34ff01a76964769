"""SimOTA label assignment: matches anchor points to ground-truth boxes.

Shapes are static: `objects` is the padded number of boxes in an image, `anchors` the number of
anchor points of all levels. The largest tensors have the shape `(batch, objects, anchors)`; there
is never a fourth axis for the classes.

References:
    YOLOX (https://arxiv.org/abs/2107.08430) section 2.1, "SimOTA", and `get_assignments` of
    `yolox/models/yolo_head.py` since January 2023: candidates are the anchor points around an
    object's center, whatever its size.
"""

from typing import Any, NamedTuple

from keras import ops

from cspdarknet.yolox.boxes import from_center, iou

CENTER_RADIUS = 1.5  # strides from an object's center to its candidate anchor points
MAX_ANCHORS = 10  # largest number of anchor points that an object gets by its own cost (dynamic k)
OUTSIDE_COST = 1e6  # added for an anchor point that is a candidate of other objects only
EXCLUDED_COST = 1e9  # cost of an anchor point that is not a candidate at all
IOU_WEIGHT = 3.0  # weight of the IoU cost beside the classification cost


class Assignment(NamedTuple):
    """The ground truth of each anchor point; all tensors are `(batch, anchors)`.

    Attributes:
        positive: bool, whether the anchor point is matched to an object.
        matched: int, index of that object in its image.
        iou: IoU of the predicted box with the object's, 0 where `positive` is false.
    """

    positive: Any
    matched: Any
    iou: Any


def assign(
    boxes: Any,
    objectness: Any,
    classes: Any,
    gt_boxes: Any,
    gt_classes: Any,
    grid: Any,
    strides: Any,
) -> Assignment:
    """Match each object to the anchor points that predict it best; no gradient flows through this.

    Args:
        boxes: predicted boxes `(batch, anchors, 4)`: center x and y, width, height, in pixels.
        objectness: logits `(batch, anchors, 1)`.
        classes: logits `(batch, anchors, num_classes)`.
        gt_boxes: ground-truth boxes `(batch, objects, 4)`, in the same format.
        gt_classes: integer class ids `(batch, objects)`; -1 marks padding.
        grid: from `anchor_grid`.
        strides: from `anchor_grid`.

    Returns:
        An `Assignment`.
    """
    boxes, objectness, classes = (
        ops.stop_gradient(ops.nan_to_num(ops.cast(x, "float32")))
        for x in (boxes, objectness, classes)
    )
    gt_boxes = ops.cast(gt_boxes, "float32")
    gt_classes = ops.cast(gt_classes, "int32")
    valid = gt_classes >= 0
    near = _near_center(gt_boxes, grid, strides) & valid[:, :, None]
    candidate = ops.any(near, axis=1, keepdims=True) & valid[:, :, None]
    pairwise_iou = iou(from_center(gt_boxes[:, :, None]), from_center(boxes[:, None]))
    pairwise_iou = ops.where(candidate, pairwise_iou, 0.0)
    cost = _class_cost(objectness, classes, gt_classes) - IOU_WEIGHT * ops.log(pairwise_iou + 1e-8)
    cost = ops.where(near, cost, cost + OUTSIDE_COST)
    cost = ops.where(candidate, cost, EXCLUDED_COST)
    return _match(cost, pairwise_iou, valid)


def _near_center(gt_boxes: Any, grid: Any, strides: Any) -> Any:
    """Return which anchor points are around the center of which object."""
    centers = (grid + 0.5) * strides
    radius = CENTER_RADIUS * strides[:, 0]
    near_x = ops.abs(centers[:, 0] - gt_boxes[:, :, :1]) < radius
    near_y = ops.abs(centers[:, 1] - gt_boxes[:, :, 1:2]) < radius
    return near_x & near_y


def _class_cost(objectness: Any, classes: Any, gt_classes: Any) -> Any:
    """Return the binary cross-entropy of each anchor point's scores with each object's class.

    Only two terms of the sum over the classes depend on the object: those of its own class.
    """
    score = ops.sqrt(ops.sigmoid(classes) * ops.sigmoid(objectness))
    log_score = ops.maximum(ops.log(score), -100.0)
    log_complement = ops.maximum(ops.log1p(-score), -100.0)
    own_class = ops.transpose(log_score - log_complement, (0, 2, 1))
    index = ops.maximum(gt_classes, 0)[:, :, None]
    own_class = ops.take_along_axis(own_class, index, axis=1)
    return -ops.sum(log_complement, axis=-1)[:, None, :] - own_class


def _match(cost: Any, pairwise_iou: Any, valid: Any) -> Assignment:
    """Match each object to its cheapest anchor points, as many as its largest IoUs add up to.

    An anchor point that several objects claim goes to the object, of all, for which it is cheapest.
    """
    batch, objects, anchors = ops.shape(cost)
    most = min(MAX_ANCHORS, anchors) if isinstance(anchors, int) else MAX_ANCHORS
    largest_ious, _ = ops.top_k(pairwise_iou, most)
    dynamic_k = ops.maximum(ops.cast(ops.sum(largest_ious, axis=-1), "int32"), 1)
    negative_cost, anchor = ops.top_k(-cost, most)
    claimed = (ops.arange(most) < dynamic_k[:, :, None]) & (negative_cost > -EXCLUDED_COST / 2)
    claimed = ops.cast(claimed & valid[:, :, None], "int32")

    first_of_image = (ops.arange(batch) * anchors)[:, None, None]
    flat_anchor = ops.reshape(ops.cast(anchor, "int32") + first_of_image, (-1,))

    def sum_by_anchor(values: Any) -> Any:
        summed = ops.segment_sum(
            ops.reshape(values, (-1,)), flat_anchor, num_segments=batch * anchors
        )
        return ops.reshape(summed, (batch, anchors))

    num_claims = sum_by_anchor(claimed)
    only_claimant = sum_by_anchor(claimed * ops.arange(objects)[None, :, None])
    cheapest = ops.cast(ops.argmin(cost, axis=1), "int32")
    matched = ops.where(num_claims > 1, cheapest, ops.cast(only_claimant, "int32"))
    positive = num_claims > 0
    matched_iou = ops.take_along_axis(pairwise_iou, matched[:, None, :], axis=1)[:, 0]
    return Assignment(positive, matched, ops.where(positive, matched_iou, 0.0))
