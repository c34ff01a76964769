"""Conversion of the detector's own layers to ONNX: box decoding, NMS; and their table."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cspdarknet._image_size import ImageSize, sides
from cspdarknet.export.onnx.layers import Converter
from cspdarknet.export.onnx.letterbox import letterbox
from cspdarknet.export.onnx.writer import GraphWriter, Value
from cspdarknet.export.program import LayerCall
from cspdarknet.yolox.anchors import MAX_LOG_SIZE
from cspdarknet.yolox.postprocess import MAX_CANDIDATES, NonMaxSuppression

# Name of the node whose output is the decoded scores, which verification looks up.
SCORES = "decoded_scores"
MIN_IOU_THRESHOLD = 1e-6


def decode_boxes(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert DecodeBoxes."""
    layer = call.operation
    names = sorted(("boxes", "objectness", "classes"))  # Keras flattens a dict by sorted keys.
    raw = dict(zip(names, (writer.as_keras(value).name for value in inputs), strict=True))
    grid, strides = _anchor_points(layer.image_size, layer.strides)
    halves = writer.constant([2, 2], "int64")
    offset, log_size = writer.multi_output_node("Split", (raw["boxes"], halves), 2, axis=2)
    center = writer.node(
        "Mul", writer.node("Add", offset, writer.constant(grid)), writer.constant(strides)
    )
    log_size = writer.node("Min", log_size, writer.constant(MAX_LOG_SIZE))
    half_size = writer.node("Mul", writer.node("Exp", log_size), writer.constant(strides / 2))
    corners = writer.node(
        *("Concat", writer.node("Sub", center, half_size), writer.node("Add", center, half_size)),
        axis=2,
    )
    scores = writer.node(
        "Mul",
        writer.node("Sigmoid", raw["objectness"]),
        writer.node("Sigmoid", raw["classes"]),
        name=SCORES,
    )
    return [Value(corners, 3), Value(scores, 3)]


def _anchor_points(image_size: ImageSize, strides: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return column and row of each anchor point `(anchor_points, 2)`, and its stride."""
    grids, anchor_strides = [], []
    height, width = sides(image_size)
    for stride in strides:
        rows, columns = np.mgrid[: height // stride, : width // stride].astype("float32")
        grids.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
        anchor_strides.append(np.full((len(grids[-1]), 1), stride, "float32"))
    return np.concatenate(grids), np.concatenate(anchor_strides)


def non_max_suppression(
    writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]
) -> list[Value]:
    """Convert NonMaxSuppression to the ONNX operator of that name, which runtimes implement."""
    layer = call.operation
    boxes, scores = inputs[0].name, inputs[1].name
    num_anchors, num_classes = (size or 0 for size in call.inputs[1].shape[1:])
    best = writer.node("ReduceMax", scores, axes=[2], keepdims=0)
    classes = writer.node("ArgMax", scores, axis=2, keepdims=0)
    best = _above_threshold(writer, layer, best, classes, num_classes)
    num_candidates = min(MAX_CANDIDATES, num_anchors)
    if num_candidates < num_anchors:
        best, order = _top_k(writer, best, num_candidates)
        boxes, classes = _gather(writer, boxes, order), _gather(writer, classes, order)
    kept = _kept_scores(writer, layer, boxes, best, classes, num_classes)
    if layer.class_agnostic_nms and layer.max_detections_per_class is not None:
        kept, order = _top_k(writer, kept, num_candidates)
        boxes, classes = _gather(writer, boxes, order), _gather(writer, classes, order)
        limit = layer.max_detections_per_class
        kept = _limited_per_class(writer, kept, classes, num_classes, limit)
    num_slots = min(layer.max_detections, num_candidates)
    confidence, order = _top_k(writer, kept, num_slots)
    used = writer.node("GreaterOrEqual", confidence, writer.constant(0.0))
    detections = {
        "boxes": writer.node(
            "Where",
            writer.node("Unsqueeze", used, writer.constant([2], "int64")),
            _gather(writer, boxes, order),
            writer.constant(-1.0),
        ),
        "classes": writer.cast(
            writer.node(
                "Where", used, _gather(writer, classes, order), writer.constant(-1, "int64")
            ),
            "int32",
        ),
        "confidence": confidence,
        "num_detections": writer.node(
            "ReduceSum", writer.cast(used, "int32"), writer.constant([1], "int64"), keepdims=0
        ),
    }
    if num_missing := layer.max_detections - num_slots:
        for name, rank in (("boxes", 3), ("classes", 2), ("confidence", 2)):
            pads = [0] * rank + [0, num_missing] + [0] * (rank - 2)
            dtype = "int32" if name == "classes" else "float32"
            detections[name] = writer.node(
                "Pad", detections[name], writer.constant(pads, "int64"), writer.constant(-1, dtype)
            )
    return [Value(detections[name], 3 if name == "boxes" else 2) for name in sorted(detections)]


def _above_threshold(
    writer: GraphWriter, layer: NonMaxSuppression, best: str, classes: str, num_classes: int
) -> str:
    """Return the scores, with -1 for those below the threshold of their class.

    The ONNX operator has one threshold for all classes, which is enough if the layer has one.
    """
    if layer.has_one_threshold:
        return best
    constant = writer.constant(layer.class_thresholds(num_classes))
    is_above = writer.node("GreaterOrEqual", best, writer.node("Gather", constant, classes, axis=0))
    return writer.node("Where", is_above, best, writer.constant(-1.0))


def _top_k(writer: GraphWriter, scores: str, k: int) -> list[str]:
    """Return the k highest scores of each image, and their indices."""
    return writer.multi_output_node("TopK", (scores, writer.constant([k], "int64")), 2, axis=1)


def _gather(writer: GraphWriter, values: str, indices: str) -> str:
    """Gather along the second axis, with indices of their own for each image."""
    index = writer.node("Unsqueeze", indices, writer.constant([2], "int64"))
    return writer.node("GatherND", values, index, batch_dims=1)


def _kept_scores(
    writer: GraphWriter,
    layer: NonMaxSuppression,
    boxes: str,
    best: str,
    classes: str,
    num_classes: int,
) -> str:
    """Return the scores `(batch, candidates)` with -1 for the candidates that NMS removes."""
    one, removed = writer.constant([1], "int64"), writer.constant(-1.0)
    class_scores = writer.node("Unsqueeze", best, one)
    limit = min(layer.max_detections_per_class or layer.max_detections, layer.max_detections)
    if not layer.class_agnostic_nms:
        class_ids = writer.constant(np.arange(num_classes)[:, None], "int64")
        is_class = writer.node("Equal", writer.node("Unsqueeze", classes, one), class_ids)
        class_scores = writer.node("Where", is_class, class_scores, removed)
    elif layer.max_detections_per_class is not None:
        limit = MAX_CANDIDATES  # the operator, for which all boxes are of one class, must keep all
    # ONNX keeps scores above the threshold, the Keras layer those equal to it, too.
    threshold = np.nextafter(np.float32(np.min(layer.score_threshold)), np.float32(-1))
    selected = writer.node(
        "NonMaxSuppression",
        boxes,
        class_scores,
        writer.constant(limit, "int64"),
        # With a threshold of 0 OpenVINO keeps one box of each class.
        writer.constant(max(layer.iou_threshold, MIN_IOU_THRESHOLD)),
        writer.constant(threshold),
    )
    indices = writer.node("Gather", selected, writer.constant([0, 2], "int64"), axis=1)
    all_removed = writer.node("Expand", removed, writer.node("Shape", best))
    return writer.node("ScatterND", all_removed, indices, writer.node("GatherND", best, indices))


def _limited_per_class(
    writer: GraphWriter, sorted_scores: str, classes: str, num_classes: int, limit: int
) -> str:
    """Return scores in descending order, with -1 for all but the first ones of each class."""
    removed, last = writer.constant(-1.0), writer.constant([2], "int64")
    class_ids = writer.constant(np.arange(num_classes), "int64")
    is_class = writer.node("Equal", writer.node("Unsqueeze", classes, last), class_ids)
    # Unused candidates come last, so that they do not change the ranks of the others.
    one_hot = writer.cast(is_class, "float32")
    ranks = writer.node("CumSum", one_hot, writer.constant(1, "int64"))
    rank = writer.node("ReduceSum", writer.node("Mul", ranks, one_hot), last, keepdims=0)
    is_within = writer.node("LessOrEqual", rank, writer.constant(float(limit)))
    return writer.node("Where", is_within, sorted_scores, removed)


def restore_boxes(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert RestoreBoxes to corners in pixels of the image."""
    layer, (boxes, sizes) = call.operation, inputs
    if layer.bounding_box_format != "xyxy":
        raise ValueError(
            "`bounding_box_format` must be 'xyxy' in an exported detector. "
            f"Received: bounding_box_format={layer.bounding_box_format!r}"
        )
    ratios = writer.node(
        "Div", writer.constant([[float(side) for side in sides(layer.image_size)]]), sizes.name
    )
    ratio = writer.node("ReduceMin", ratios, axes=[1], keepdims=1)
    ratio = writer.node("Unsqueeze", ratio, writer.constant([2], "int64"))
    unused = writer.constant(-1.0)
    used = writer.node("Not", writer.node("Equal", boxes.name, unused))
    any_used = writer.node("ReduceMax", writer.cast(used, "float32"), axes=[2], keepdims=1)
    restored = writer.node("Div", boxes.name, ratio)
    used = writer.node("Greater", any_used, writer.constant(0.0))
    return [replace(boxes, name=writer.node("Where", used, restored, unused))]


DETECTION_CONVERTERS: dict[str, Converter] = {
    "DecodeBoxes": decode_boxes,
    "Letterbox": letterbox,
    "NonMaxSuppression": non_max_suppression,
    "RestoreBoxes": restore_boxes,
}
