"""Fit a photo into a square as YOLOX does, to the last bit.

The published weights were trained on photos resized by OpenCV. Its bilinear rule is one of
integers, without smoothing: resizing by any other moves the scores and boxes of a detector.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

PADDING = 114
# Bits after the point of the integer weights.
BITS = 11


def letterbox(image: np.ndarray, size: int) -> tuple[np.ndarray, float]:
    """Resize a photo so that it just fits a square, and put it into its top left corner.

    Args:
        image: uint8 array `(height, width, 3)`.
        size: side of the square, in pixels.

    Returns:
        The square, a uint8 array `(size, size, 3)` that is gray (114) beside the photo; and the
        ratio of resizing: pixels of the square are pixels of the photo times this.

    Raises:
        ValueError: if the image is of another form.

    Example:
        >>> square, ratio = letterbox(np.zeros((480, 640, 3), "uint8"), 416)
        >>> square.shape, ratio, square[[311, 312], 0, 0].tolist()
        ((416, 416, 3), 0.65, [0, 114])
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            "`image` must be a uint8 array (height, width, 3). "
            f"Received: {image.dtype} {image.shape}"
        )
    height, width, ratio = fitted(image.shape[0], image.shape[1], size)
    square = np.full((size, size, 3), PADDING, "uint8")
    square[:height, :width] = resize(image, height, width)
    return square, ratio


def fitted(height: int, width: int, size: int) -> tuple[int, int, float]:
    """Return height, width and ratio of a photo that is resized to fit a square.

    The sides are cut off to whole pixels, not rounded: 720 x 576 becomes 415 x 332 in 416.
    """
    ratio = min(size / height, size / width)
    return max(1, int(height * ratio)), max(1, int(width * ratio)), ratio


def _fitted_tensors(height: Any, width: Any, size: int) -> tuple[Any, Any, Any]:
    """`fitted` where a graph does not know the photo's size (TensorFlow)."""
    height, width = _float64(height), _float64(width)
    ratio = ops.minimum(size / height, size / width)
    sides = (ops.maximum(1, ops.cast(side * ratio, "int32")) for side in (height, width))
    return *sides, ratio


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a uint8 image `(h, w, channels)` by OpenCV's rule (`cv2.INTER_LINEAR`)."""
    height_in, width_in, channels = image.shape
    values = np.ascontiguousarray(image).reshape(height_in, -1)
    left, right, weight_left, weight_right = taps(width_in, width, clamp_fraction=True)
    rows = _spread(values, left, channels) * np.repeat(weight_left, channels)
    rows += _spread(values, right, channels) * np.repeat(weight_right, channels)
    rows >>= 4
    upper, lower, weight_upper, weight_lower = taps(height_in, height, clamp_fraction=False)
    total = rows[upper] * weight_upper[:, None]
    total >>= 16
    below = rows[lower] * weight_lower[:, None]
    below >>= 16
    total += below
    total += 2
    total >>= 2
    return total.astype("uint8").reshape(height, width, channels)


def _spread(values: np.ndarray, places: np.ndarray, channels: int) -> np.ndarray:
    """Pick pixels of flat rows: a flat array is several times faster than one of short pixels."""
    return np.take(values, (places[:, None] * channels + np.arange(channels)).ravel(), axis=1)


def taps(
    length_in: Any, length_out: Any, clamp_fraction: bool, count: int | None = None
) -> tuple[Any, Any, Any, Any]:
    """Return where each pixel of a resized axis comes from, and with which weights.

    Args:
        length_in: pixels of the axis before: a number, or a tensor where a graph does not know it.
        length_out: pixels of the axis after, likewise.
        clamp_fraction: at the borders, give the outermost pixel all of the weight, as OpenCV does
            along rows. Along columns it repeats the outermost pixel and keeps the two weights,
            which round on their own.
        count: how many pixels to answer for; `None` for all.

    Returns:
        Four int32 arrays `(count,)`: the places of the first and the second pixel, and their
        weights in 1/2048.
    """
    known = isinstance(length_out, int)
    xp: Any = np if known else ops
    cast: Any = np.ndarray.astype if known else ops.cast
    length_in, length_out = (float(n) if known else _float64(n) for n in (length_in, length_out))
    scale = 1 / (length_out / length_in)
    steps = xp.arange(int(length_out) if count is None else count, dtype="float64")
    centres = cast((steps + 0.5) * scale - 0.5, "float32")
    last = length_in - 1 if known else ops.cast(length_in - 1, "float32")
    first = xp.floor(centres)
    fraction = centres - first
    if clamp_fraction:
        fraction = xp.where((first < 0) | (first >= last), xp.zeros_like(fraction), fraction)
    lower, upper = (cast(xp.clip(first + i, 0, last), "int32") for i in (0, 1))
    weights = (cast(xp.round(w * 2**BITS), "int32") for w in (1 - fraction, fraction))
    return lower, upper, *weights


def _float64(value: Any) -> Any:
    return ops.cast(value, "float64")


@keras.saving.register_keras_serializable(package="cspdarknet")
class Letterbox(keras.layers.Layer):
    """`letterbox` as a layer: photos of any one size become squares, to the last bit.

    Args:
        size: side of the square, in pixels.
        data_format: `"channels_last"` or `"channels_first"`, of photos and squares.

    Returns:
        The squares, and the photos' height and width, `(batch, 2)`.
    """

    def __init__(self, size: int, data_format: str = "channels_last", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.data_format = size, data_format

    def compute_output_shape(self, photos_shape: Any) -> Any:
        """Squares, and two numbers for each."""
        sides = (self.size, self.size)
        last = self.data_format == "channels_last"
        return (photos_shape[0], *sides, 3) if last else (photos_shape[0], 3, *sides), (
            photos_shape[0],
            2,
        )

    def call(self, photos: Any) -> tuple[Any, Any]:
        """Letterbox."""
        if self.data_format == "channels_first":
            photos = ops.transpose(photos, (0, 2, 3, 1))
        batch, height, width = ops.shape(photos)[:3]
        pixels = ops.cast(ops.clip(ops.round(photos), 0, 255), "int32")
        squares = ops.cast(self._resize(pixels, height, width), photos.dtype)
        if self.data_format == "channels_first":
            squares = ops.transpose(squares, (0, 3, 1, 2))
        sizes = ops.cast(ops.stack([height, width]), "float32")
        return squares, ops.broadcast_to(sizes[None], (batch, 2))

    def _resize(self, pixels: Any, height: Any, width: Any) -> Any:
        """Resize as `resize` does; what is beyond the photo's end is gray."""
        known = isinstance(height, int) and isinstance(width, int)
        fit = fitted if known else _fitted_tensors
        new_height, new_width, _ = fit(height, width, self.size)
        across, along = (
            [ops.convert_to_tensor(part) for part in taps(*lengths, self.size)]
            for lengths in ((width, new_width, True), (height, new_height, False))
        )
        left, right, left_weight, right_weight = across
        upper, lower, upper_weight, lower_weight = along
        rows = ops.take(pixels, left, axis=2) * left_weight[:, None]
        rows = (rows + ops.take(pixels, right, axis=2) * right_weight[:, None]) // 2**4
        total = ops.take(rows, upper, axis=1) * upper_weight[:, None, None] // 2**16
        total = total + ops.take(rows, lower, axis=1) * lower_weight[:, None, None] // 2**16
        index = ops.arange(self.size)
        inside = (index < new_height)[:, None] & (index < new_width)
        return ops.where(inside[:, :, None], (total + 2) // 4, PADDING)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {**super().get_config(), "size": self.size, "data_format": self.data_format}
