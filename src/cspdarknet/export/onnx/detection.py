"""How the detector's own layers are said in ONNX: letterbox, decoding, suppression."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from cspdarknet.export.onnx.layers import LAYERS, Emitter
from cspdarknet.export.onnx.writer import GraphWriter, Value
from cspdarknet.export.program import Step
from cspdarknet.yolox.anchors import MAX_LOG_SIZE
from cspdarknet.yolox.letterbox import BITS, PADDING
from cspdarknet.yolox.postprocess import CANDIDATES, NonMaxSuppression

LEAST_IOU = 1e-6


def letterbox(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """Letterbox: in whole numbers, as `cspdarknet.yolox.letterbox` but for the resized sides.

    Those are computed there by a division of floats, which loses a pixel in some sizes.
    """
    layer, x = step.operation, inputs[0].name
    if layer.data_format == "channels_first":
        x = writer.node("Transpose", x, perm=[0, 2, 3, 1])

    def whole(value: int | Sequence[int]) -> str:
        return writer.constant(value, "int32")

    def vector(value: int) -> str:
        return writer.constant([value], "int64")

    shape = writer.cast(writer.node("Shape", x), "int32")
    height, width = (writer.node("Slice", shape, vector(axis), vector(axis + 1)) for axis in (1, 2))
    longer = writer.node("Max", height, width)
    size = whole([layer.size])
    sides = [
        writer.node("Max", writer.node("Div", writer.node("Mul", side, size), longer), whole([1]))
        for side in (height, width)
    ]
    pixels = writer.node("Round", writer.cast(x, "float32"))
    pixels = writer.node("Clip", pixels, writer.constant(0.0), writer.constant(255.0))
    pixels = writer.cast(pixels, "int32")
    left, right = _taps(writer, width, sides[1], layer.size, clamp_fraction=True)
    rows = writer.node("Add", *(_weighted(writer, pixels, tap, axis=2) for tap in (left, right)))
    rows = writer.node("Div", rows, whole(2**4))
    upper, lower = _taps(writer, height, sides[0], layer.size, clamp_fraction=False)
    total = writer.node(
        "Add",
        *(
            writer.node("Div", _weighted(writer, rows, tap, axis=1), whole(2**16))
            for tap in (upper, lower)
        ),
    )
    total = writer.node("Div", writer.node("Add", total, whole(2)), whole(4))
    index = whole(np.arange(layer.size).tolist())
    inside_rows, inside_columns = (writer.node("Less", index, side) for side in sides)
    inside = writer.node(
        "And",
        writer.node("Unsqueeze", inside_rows, writer.constant([1, 2], "int64")),
        writer.node("Unsqueeze", inside_columns, writer.constant([1], "int64")),
    )
    square = writer.cast(writer.node("Where", inside, total, whole(PADDING)), "float32")
    if layer.data_format == "channels_first":
        square = writer.node("Transpose", square, perm=[0, 3, 1, 2])
    sizes = writer.cast(writer.node("Concat", height, width, axis=0), "float32")
    return [Value(square, 4), Value(writer.node("Unsqueeze", sizes, vector(0)), 2)]


def _taps(
    writer: GraphWriter, before: str, after: str, count: int, *, clamp_fraction: bool
) -> list[tuple[str, str]]:
    """Return places and weights of the two pixels that each pixel of a resized axis comes from.

    The center of pixel i is ((2 i + 1) before - after) / (2 after) of the axis before: both are
    whole numbers that float32 holds, so that their quotient is the nearest float32 to it.
    """
    one, bits = writer.constant(1.0), writer.constant(float(2**BITS))
    before, after = writer.cast(before, "float32"), writer.cast(after, "float32")
    odd = writer.constant(2 * np.arange(count) + 1)
    numerator = writer.node("Sub", writer.node("Mul", odd, before), after)
    center = writer.node("Div", numerator, writer.node("Mul", after, writer.constant(2.0)))
    first = writer.node("Floor", center)
    fraction = writer.node("Sub", center, first)
    last = writer.node("Sub", before, one)
    if clamp_fraction:
        beyond = writer.node(
            "Or",
            writer.node("Less", first, writer.constant(0.0)),
            writer.node("GreaterOrEqual", first, last),
        )
        fraction = writer.node("Where", beyond, writer.constant(0.0), fraction)
    taps = []
    for step, share in enumerate((writer.node("Sub", one, fraction), fraction)):
        place = writer.node("Add", first, writer.constant(float(step)))
        place = writer.node("Max", writer.node("Min", place, last), writer.constant(0.0))
        weight = writer.node("Round", writer.node("Mul", share, bits))
        taps.append((writer.cast(place, "int32"), writer.cast(weight, "int32")))
    return taps


def _weighted(writer: GraphWriter, pixels: str, tap: tuple[str, str], axis: int) -> str:
    """Pick pixels along an axis of (batch, height, width, channels), times their weights."""
    place, weight = tap
    picked = writer.node("Gather", pixels, place, axis=axis)
    axes = writer.constant([1, 2] if axis == 1 else [1], "int64")
    return writer.node("Mul", picked, writer.node("Unsqueeze", weight, axes))


def decode_boxes(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """DecodeBoxes."""
    layer = step.operation
    order = sorted(("boxes", "objectness", "classes"))  # Keras flattens a dict by its sorted keys
    found = dict(zip(order, (writer.as_keras(value).name for value in inputs), strict=True))
    grid, strides = _grid(layer.image_size, layer.strides)
    half = writer.constant([2, 2], "int64")
    offset, logarithm = writer.nodes_with("Split", (found["boxes"], half), 2, axis=2)
    center = writer.node(
        "Mul", writer.node("Add", offset, writer.constant(grid)), writer.constant(strides)
    )
    logarithm = writer.node("Min", logarithm, writer.constant(MAX_LOG_SIZE))
    reach = writer.node("Mul", writer.node("Exp", logarithm), writer.constant(strides / 2))
    corners = writer.node(
        "Concat", writer.node("Sub", center, reach), writer.node("Add", center, reach), axis=2
    )
    scores = writer.node(
        "Mul",
        writer.node("Sigmoid", found["objectness"]),
        writer.node("Sigmoid", found["classes"]),
    )
    return [Value(corners, 3), Value(scores, 3)]


def _grid(size: int, strides: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    grids, steps = [], []
    for stride in strides:
        rows, columns = np.mgrid[: size // stride, : size // stride].astype("float32")
        grids.append(np.stack([columns, rows], axis=-1).reshape(-1, 2))
        steps.append(np.full((len(grids[-1]), 1), stride, "float32"))
    return np.concatenate(grids), np.concatenate(steps)


def suppress(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """NonMaxSuppression, by ONNX's operator of that name, which the runtimes have natively."""
    layer = step.operation
    boxes, scores = inputs[0].name, inputs[1].name
    places, classes = (side or 0 for side in step.inputs[1].shape[1:])
    best = writer.node("ReduceMax", scores, axes=[2], keepdims=0)
    kinds = writer.node("ArgMax", scores, axis=2, keepdims=0)
    count = min(CANDIDATES, places)
    if count < places:
        best, order = _surest(writer, best, count)
        boxes, kinds = _pick(writer, boxes, order), _pick(writer, kinds, order)
    kept = _kept_scores(writer, layer, boxes, best, kinds, classes)
    slots = min(layer.max_detections, count)
    confidence, at = _surest(writer, kept, slots)
    used = writer.node("GreaterOrEqual", confidence, writer.constant(0.0))
    found = {
        "boxes": writer.node(
            "Where",
            writer.node("Unsqueeze", used, writer.constant([2], "int64")),
            _pick(writer, boxes, at),
            writer.constant(-1.0),
        ),
        "classes": writer.cast(
            writer.node("Where", used, _pick(writer, kinds, at), writer.constant(-1, "int64")),
            "int32",
        ),
        "confidence": confidence,
        "num_detections": writer.node(
            "ReduceSum", writer.cast(used, "int32"), writer.constant([1], "int64"), keepdims=0
        ),
    }
    if missing := layer.max_detections - slots:
        for name, axes in (("boxes", 3), ("classes", 2), ("confidence", 2)):
            pads = [0] * axes + [0, missing] + [0] * (axes - 2)
            kind = "int32" if name == "classes" else "float32"
            found[name] = writer.node(
                "Pad", found[name], writer.constant(pads, "int64"), writer.constant(-1, kind)
            )
    return [Value(found[name], 3 if name == "boxes" else 2) for name in sorted(found)]


def _surest(writer: GraphWriter, scores: str, count: int) -> list[str]:
    """Return the highest scores of each image, and their places."""
    return writer.nodes_with("TopK", (scores, writer.constant([count], "int64")), 2, axis=1)


def _pick(writer: GraphWriter, values: str, places: str) -> str:
    """Pick places of the second axis, others for each image."""
    index = writer.node("Unsqueeze", places, writer.constant([2], "int64"))
    return writer.node("GatherND", values, index, batch_dims=1)


def _kept_scores(
    writer: GraphWriter, layer: NonMaxSuppression, boxes: str, best: str, kinds: str, classes: int
) -> str:
    """Return the scores of candidates, -1 for those that are suppressed: (batch, candidates)."""
    one, none = writer.constant([1], "int64"), writer.constant(-1.0)
    numbers = writer.constant(np.arange(classes)[:, None], "int64")
    own = writer.node("Equal", writer.node("Unsqueeze", kinds, one), numbers)
    by_class = writer.node("Where", own, writer.node("Unsqueeze", best, one), none)
    # ONNX keeps scores above the threshold, ours are those at it too.
    threshold = np.nextafter(np.float32(layer.score_threshold), np.float32(-1))
    selected = writer.node(
        "NonMaxSuppression",
        boxes,
        by_class,
        writer.constant(layer.max_detections, "int64"),
        # OpenVINO takes 0 for no suppression of its own, but one box for each class.
        writer.constant(max(layer.iou_threshold, LEAST_IOU)),
        writer.constant(threshold),
    )
    pairs = writer.node("Gather", selected, writer.constant([0, 2], "int64"), axis=1)
    nothing = writer.node("Expand", none, writer.node("Shape", best))
    return writer.node("ScatterND", nothing, pairs, writer.node("GatherND", best, pairs))


def restore_boxes(writer: GraphWriter, step: Step, inputs: Sequence[Value]) -> list[Value]:
    """RestoreBoxes, to corners in pixels of the photo."""
    layer, (boxes, sizes) = step.operation, inputs
    if layer.bounding_box_format != "xyxy":
        raise ValueError(
            "Boxes of an exported detector are 'xyxy'. "
            f"Received: bounding_box_format={layer.bounding_box_format!r}"
        )
    ratios = writer.node("Div", writer.constant([[float(layer.image_size)]]), sizes.name)
    ratio = writer.node("ReduceMin", ratios, axes=[1], keepdims=1)
    ratio = writer.node("Unsqueeze", ratio, writer.constant([2], "int64"))
    none = writer.constant(-1.0)
    used = writer.node("Not", writer.node("Equal", boxes.name, none))
    some = writer.node("ReduceMax", writer.cast(used, "float32"), axes=[2], keepdims=1)
    restored = writer.node("Div", boxes.name, ratio)
    used = writer.node("Greater", some, writer.constant(0.0))
    return [replace(boxes, name=writer.node("Where", used, restored, none))]


DETECTION_LAYERS: dict[str, Emitter] = {
    **LAYERS,
    "DecodeBoxes": decode_boxes,
    "Letterbox": letterbox,
    "NonMaxSuppression": suppress,
    "RestoreBoxes": restore_boxes,
}
