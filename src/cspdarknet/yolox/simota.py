"""SimOTA: which places answer for which objects of an image.

Shapes are static: `objects` is the padded number of boxes in an image, `places` the number of
cells of all levels. The largest tensors have the shape `(batch, objects, places)`; the classes
never stand beside these two axes.

References:
    YOLOX (https://arxiv.org/abs/2107.08430) section 2.1; the rule of `yolox/models/yolo_head.py`
    since January 2023: candidates are the places around an object's center.
"""

from typing import Any, NamedTuple

from keras import ops

RADIUS = 1.5  # strides around an object's center
MOST = 10  # places that an object can get, at most
FAR = 1e6  # cost of a place that is a candidate for other objects only
NEVER = 1e9  # cost of what is no candidate at all
IOU_WEIGHT = 3.0


class Assignment(NamedTuple):
    """What each place of each image should say; all tensors are `(batch, places)`.

    Attributes:
        positive: bool, whether it answers for an object.
        matched: int, index of that object in its image.
        iou: overlap of its box with the object's, 0 where it is not positive.
    """

    positive: Any
    matched: Any
    iou: Any


def assign(
    boxes: Any,
    objectness: Any,
    classes: Any,
    true_boxes: Any,
    true_classes: Any,
    grid: Any,
    strides: Any,
) -> Assignment:
    """Give each object the places that predict it best; no gradient flows through this.

    Args:
        boxes: predicted, `(batch, places, 4)`: center x and y, width, height, in pixels.
        objectness: logits `(batch, places, 1)`.
        classes: logits `(batch, places, classes)`.
        true_boxes: `(batch, objects, 4)`, in the same form.
        true_classes: int `(batch, objects)`; -1 marks padding.
        grid: from `anchor_grid`.
        strides: from `anchor_grid`.

    Returns:
        An `Assignment`.
    """
    boxes, objectness, classes = (
        ops.stop_gradient(ops.nan_to_num(ops.cast(x, "float32")))
        for x in (boxes, objectness, classes)
    )
    true_boxes = ops.cast(true_boxes, "float32")
    true_classes = ops.cast(true_classes, "int32")
    valid = true_classes >= 0
    near = _near(true_boxes, grid, strides) & valid[:, :, None]
    candidate = ops.any(near, axis=1, keepdims=True) & valid[:, :, None]
    iou = ops.where(candidate, _pairwise_iou(true_boxes, boxes), 0.0)
    cost = _class_cost(objectness, classes, true_classes) - IOU_WEIGHT * ops.log(iou + 1e-8)
    cost = ops.where(near, cost, cost + FAR)
    cost = ops.where(candidate, cost, NEVER)
    return _match(cost, iou, valid)


def _near(true_boxes: Any, grid: Any, strides: Any) -> Any:
    """Whether a place is around the center of an object, whatever the object's size."""
    centers = (grid + 0.5) * strides
    reach = RADIUS * strides[:, 0]
    across = ops.abs(centers[:, 0] - true_boxes[:, :, :1]) < reach
    along = ops.abs(centers[:, 1] - true_boxes[:, :, 1:2]) < reach
    return across & along


def _pairwise_iou(true_boxes: Any, boxes: Any) -> Any:
    """Return the overlap of every object with every place's box."""
    overlap: Any = 1.0
    for axis in (0, 1):
        true_centre, true_size = (true_boxes[:, :, i : i + 1] for i in (axis, axis + 2))
        center, size = (boxes[:, None, :, i] for i in (axis, axis + 2))
        end = ops.minimum(true_centre + true_size / 2, center + size / 2)
        start = ops.maximum(true_centre - true_size / 2, center - size / 2)
        overlap = overlap * ops.maximum(end - start, 0.0)
    true_area = true_boxes[:, :, 2:3] * true_boxes[:, :, 3:]
    union = true_area + boxes[:, None, :, 2] * boxes[:, None, :, 3] - overlap
    return overlap / ops.maximum(union, 1e-16)


def _class_cost(objectness: Any, classes: Any, true_classes: Any) -> Any:
    """Return the cross-entropy of each place's class scores with each object's class.

    Only two terms of the sum over the classes depend on the object: those of its own class.
    """
    score = ops.sqrt(ops.sigmoid(classes) * ops.sigmoid(objectness))
    yes = ops.maximum(ops.log(score), -100.0)
    no = ops.maximum(ops.log1p(-score), -100.0)
    own = ops.transpose(yes - no, (0, 2, 1))
    index = ops.maximum(true_classes, 0)[:, :, None]
    return -ops.sum(no, axis=-1)[:, None, :] - ops.take_along_axis(own, index, axis=1)


def _match(cost: Any, iou: Any, valid: Any) -> Assignment:
    """Give each object its cheapest places, as many as its overlaps add up to.

    A place that several objects want goes to the object, of all, for which it is cheapest.
    """
    batch, objects, places = ops.shape(cost)
    most = min(MOST, places) if isinstance(places, int) else MOST
    largest, _ = ops.top_k(iou, most)
    wanted = ops.maximum(ops.cast(ops.sum(largest, axis=-1), "int32"), 1)
    cheapness, place = ops.top_k(-cost, most)
    taken = (ops.arange(most) < wanted[:, :, None]) & (cheapness > -NEVER / 2)
    taken = ops.cast(taken & valid[:, :, None], "int32")

    slot = ops.reshape(ops.cast(place, "int32") + _rows(batch, places), (-1,))

    def add_up(values: Any) -> Any:
        summed = ops.segment_sum(ops.reshape(values, (-1,)), slot, num_segments=batch * places)
        return ops.reshape(summed, (batch, places))

    claims = add_up(taken)
    claimant = add_up(taken * ops.arange(objects)[None, :, None])
    cheapest = ops.cast(ops.argmin(cost, axis=1), "int32")
    matched = ops.where(claims > 1, cheapest, ops.cast(claimant, "int32"))
    positive = claims > 0
    own_iou = ops.take_along_axis(iou, matched[:, None, :], axis=1)[:, 0]
    return Assignment(positive, matched, ops.where(positive, own_iou, 0.0))


def _rows(batch: Any, places: Any) -> Any:
    """Return where each image's places begin when all stand in one row."""
    return (ops.arange(batch) * places)[:, None, None]
