"""Conversion of the layer `Letterbox` to ONNX, for images of any size."""

from collections.abc import Sequence

import numpy as np

from cspdarknet._image_size import ImageSize, sides
from cspdarknet.export.onnx.writer import GraphWriter, Value
from cspdarknet.export.program import LayerCall
from cspdarknet.yolox.letterbox import PADDING, WEIGHT_BITS

Taps = list[tuple[str, str]]  # index and weight of two input pixels, for each output pixel


def letterbox(writer: GraphWriter, call: LayerCall, inputs: Sequence[Value]) -> list[Value]:
    """Convert Letterbox to integer arithmetic, as `cspdarknet.yolox.letterbox` does it, or floats.

    Only the size of the resized image may differ: `fitted_size` computes it as a quotient of
    floats, which for some sizes is one pixel less.
    """
    layer, x = call.operation, inputs[0].name
    if layer.data_format == "channels_first":
        x = writer.node("Transpose", x, perm=[0, 2, 3, 1])
    shape = writer.cast(writer.node("Shape", x), "int32")
    height, width = (
        writer.node("Slice", shape, _int64(writer, axis), _int64(writer, axis + 1))
        for axis in (1, 2)
    )
    fitted = _fitted_size(writer, height, width, layer.size)
    rows_out, columns_out = sides(layer.size)
    rows = _taps(writer, height, fitted[0], rows_out, clamp_fraction=not layer.round_values)
    columns = _taps(writer, width, fitted[1], columns_out, clamp_fraction=True)
    resize = _resized_integers if layer.round_values else _resized_floats
    square = resize(writer, writer.cast(x, "float32"), rows, columns)
    inside = _inside(writer, fitted, layer.size)
    square = writer.node("Where", inside, square, writer.constant(float(PADDING)))
    if layer.data_format == "channels_first":
        square = writer.node("Transpose", square, perm=[0, 3, 1, 2])
    sizes = writer.cast(writer.node("Concat", height, width, axis=0), "float32")
    return [Value(square, 4), Value(writer.node("Unsqueeze", sizes, _int64(writer, 0)), 2)]


def _int32(writer: GraphWriter, value: int | Sequence[int]) -> str:
    return writer.constant(value, "int32")


def _int64(writer: GraphWriter, value: int) -> str:
    return writer.constant([value], "int64")


def _fitted_size(writer: GraphWriter, height: str, width: str, size: ImageSize) -> list[str]:
    """Return height and width of the resized image."""
    rows_out, columns_out = sides(size)
    # The side that limits the size has the quotient of its own length: the size itself.
    fitted = [
        writer.node("Div", writer.node("Mul", side, _int32(writer, [limit])), other)
        for side, other, limit in ((height, width, columns_out), (width, height, rows_out))
    ]
    return [
        writer.node("Max", writer.node("Min", side, _int32(writer, [limit])), _int32(writer, [1]))
        for side, limit in zip(fitted, (rows_out, columns_out), strict=True)
    ]


def _inside(writer: GraphWriter, fitted: Sequence[str], size: ImageSize) -> str:
    """Return which pixels of the square are of the image, `(1, rows, columns, 1)`."""
    rows, columns = (
        writer.node("Less", _int32(writer, np.arange(count).tolist()), side)
        for count, side in zip(sides(size), fitted, strict=True)
    )
    return writer.node(
        "And",
        writer.node("Unsqueeze", rows, writer.constant([1, 2], "int64")),
        writer.node("Unsqueeze", columns, writer.constant([1], "int64")),
    )


def _resized_integers(writer: GraphWriter, x: str, rows: Taps, columns: Taps) -> str:
    """Resize rounded values, as OpenCV does; return them in float32."""
    pixels = writer.node("Round", x)
    pixels = writer.node("Clip", pixels, writer.constant(0.0), writer.constant(255.0))
    pixels = writer.cast(pixels, "int32")
    strips = writer.node("Add", *(_weighted(writer, pixels, tap, axis=2) for tap in columns))
    strips = writer.node("Div", strips, _int32(writer, 2**4))
    total = writer.node(
        "Add",
        *(
            writer.node("Div", _weighted(writer, strips, tap, axis=1), _int32(writer, 2**16))
            for tap in rows
        ),
    )
    total = writer.node("Div", writer.node("Add", total, _int32(writer, 2)), _int32(writer, 4))
    return writer.cast(total, "float32")


def _resized_floats(writer: GraphWriter, x: str, rows: Taps, columns: Taps) -> str:
    """Resize float32 values with the same weights, without rounding."""
    scale = writer.constant(float(2**-WEIGHT_BITS))
    for axis, taps in ((1, rows), (2, columns)):
        scaled = [
            (index, writer.node("Mul", writer.cast(weight, "float32"), scale))
            for index, weight in taps
        ]
        x = writer.node("Add", *(_weighted(writer, x, tap, axis=axis) for tap in scaled))
    return x


def _taps(
    writer: GraphWriter, length_in: str, length_out: str, count: int, *, clamp_fraction: bool
) -> Taps:
    """Return index and weight of the two input pixels of each pixel of a resized axis.

    The center of pixel i is ((2 i + 1) in - out) / (2 out) on the input axis. Numerator and
    denominator are integers that float32 holds, so that the quotient is the float32 nearest to it.
    """
    one, scale = writer.constant(1.0), writer.constant(float(2**WEIGHT_BITS))
    length_in, length_out = writer.cast(length_in, "float32"), writer.cast(length_out, "float32")
    odd = writer.constant(2 * np.arange(count) + 1)
    numerator = writer.node("Sub", writer.node("Mul", odd, length_in), length_out)
    denominator = writer.node("Mul", length_out, writer.constant(2.0))
    center = writer.node("Div", numerator, denominator)
    first = writer.node("Floor", center)
    fraction = writer.node("Sub", center, first)
    last = writer.node("Sub", length_in, one)
    if clamp_fraction:
        outside = writer.node(
            "Or",
            writer.node("Less", first, writer.constant(0.0)),
            writer.node("GreaterOrEqual", first, last),
        )
        fraction = writer.node("Where", outside, writer.constant(0.0), fraction)
    taps = []
    for offset, weight in enumerate((writer.node("Sub", one, fraction), fraction)):
        index = writer.node("Add", first, writer.constant(float(offset)))
        index = writer.node("Max", writer.node("Min", index, last), writer.constant(0.0))
        weight = writer.node("Round", writer.node("Mul", weight, scale))
        taps.append((writer.cast(index, "int32"), writer.cast(weight, "int32")))
    return taps


def _weighted(writer: GraphWriter, pixels: str, tap: tuple[str, str], axis: int) -> str:
    """Gather pixels along an axis of (batch, height, width, channels), times their weights."""
    index, weight = tap
    gathered = writer.node("Gather", pixels, index, axis=axis)
    axes = writer.constant([1, 2] if axis == 1 else [1], "int64")
    return writer.node("Mul", gathered, writer.node("Unsqueeze", weight, axes))
