"""Letterboxing of images as YOLOX does it: resized into a gray rectangle, bit for bit.

The published weights were trained on images resized by OpenCV. Its bilinear interpolation computes
with integers and without antialiasing; any other interpolation changes scores and boxes. Images of
more than 8 bits are float32, and are resized in floats with the same weights.

References:
    `preproc` of `yolox/data/data_augment.py`; OpenCV, `modules/imgproc/src/resize.cpp`.
"""

from typing import Any

import numpy as np

from cspdarknet._image_size import ImageSize, sides

PADDING = 114  # gray value beside the image
WEIGHT_BITS = 11  # fractional bits of OpenCV's integer weights


def letterbox(image: np.ndarray, size: ImageSize) -> tuple[np.ndarray, float]:
    """Resize an image to fit a square or rectangle, and place it in its top left corner.

    Args:
        image: uint8 or float32 array `(height, width, channels)`.
        size: side of the square in pixels, or height and width of the rectangle.

    Returns:
        The square, an array `(size, size, channels)` of the same dtype, padded with gray (114); and
        the resize ratio: coordinates in the square are those in the image times this.

    Raises:
        ValueError: if `image` is not such an array.

    Example:
        >>> square, ratio = letterbox(np.zeros((480, 640, 3), "uint8"), 416)
        >>> square.shape, ratio, square[[311, 312], 0, 0].tolist()
        ((416, 416, 3), 0.65, [0, 114])
        >>> letterbox(np.zeros((480, 640, 3), "uint8"), (384, 640))[0].shape
        (384, 640, 3)
    """
    if image.dtype not in (np.uint8, np.float32) or image.ndim != 3 or not image.size:
        raise ValueError(
            "`image` must be a uint8 or float32 array (height, width, channels). "
            f"Received: image of dtype {image.dtype} and shape {image.shape}"
        )
    height, width, ratio = fitted_size(image.shape[0], image.shape[1], size)
    square = gray_image(size, image.shape[2], image.dtype)
    square[:height, :width] = resize(image, height, width)
    return square, ratio


def gray_image(size: ImageSize, channels: int = 3, dtype: Any = "uint8") -> np.ndarray:
    """Return a gray image, the background of a letterboxed one."""
    return np.full((*sides(size), channels), PADDING, dtype)


def fitted_size(height: int, width: int, size: ImageSize) -> tuple[int, int, float]:
    """Return the height, width and resize ratio of an image that is resized to fit a size.

    The sides are truncated to whole pixels, not rounded: 720 x 576 becomes 415 x 332 in 416.
    """
    largest_height, largest_width = sides(size)
    ratio = min(largest_height / height, largest_width / width)
    return max(1, int(height * ratio)), max(1, int(width * ratio)), ratio


def resize(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize an image `(h, w, channels)` as OpenCV's `cv2.INTER_LINEAR` does.

    It is uint8; or float32, and then the result is, too.
    """
    if image.dtype == np.float32:
        return _resize_floats(image, height, width)
    rows = _resize_rows(image, width)
    upper, lower, *weights = bilinear_taps(len(image), height, clamp_fraction=False)
    return _blend(rows[upper], rows[lower], *weights).reshape(height, width, image.shape[2])


def _resize_floats(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resize a float32 image without rounding, with the weights of `resize`."""
    upper, lower, *rows = bilinear_taps(len(image), height, clamp_fraction=True)
    left, right, *columns = bilinear_taps(image.shape[1], width, clamp_fraction=True)
    scale = np.float32(2**-WEIGHT_BITS)
    above, below = (weight.astype("float32")[:, None, None] * scale for weight in rows)
    before, after = (weight.astype("float32")[:, None] * scale for weight in columns)
    mixed = image[upper] * above + image[lower] * below
    return np.asarray(mixed[:, left] * before + mixed[:, right] * after)


class StripResizer:
    """`resize` of an image of which no more than a strip is in memory: the same pixels.

    Args:
        height_in: height of the image.
        height: height of the result.
        width: width of the result.

    Example:
        >>> image = np.random.default_rng(0).integers(0, 256, (90, 70, 3)).astype("uint8")
        >>> resizer = StripResizer(90, 30, 20)
        >>> for top in (0, 40, 80):
        ...     resizer.add(top, image[top : top + 40])
        >>> bool((resizer.result() == resize(image, 30, 20)).all())
        True
    """

    def __init__(self, height_in: int, height: int, width: int) -> None:
        self._taps = bilinear_taps(height_in, height, clamp_fraction=False)
        self._needed = np.unique(np.concatenate(self._taps[:2]))
        self._rows = np.zeros((len(self._needed), width * 3), "int32")
        self._size = height, width

    def add(self, top: int, strip: np.ndarray) -> None:
        """Take over what the result needs of a strip.

        Args:
            top: number of its first row in the image. Rows may be added more than once.
            strip: uint8 array `(rows, width_in, 3)`.
        """
        first, last = np.searchsorted(self._needed, [top, top + len(strip)])
        if first < last:
            rows = strip[self._needed[first:last] - top]
            self._rows[first:last] = _resize_rows(rows, self._size[1])

    def result(self) -> np.ndarray:
        """Return the resized image, after all of its rows were added."""
        upper, lower, *weights = self._taps
        upper, lower = (np.searchsorted(self._needed, taps) for taps in (upper, lower))
        return _blend(self._rows[upper], self._rows[lower], *weights).reshape(*self._size, 3)


def _resize_rows(image: np.ndarray, width: int) -> np.ndarray:
    """Resize each row of an image; return integers `(h, width * channels)`, in 1/128."""
    height_in, width_in, channels = image.shape
    values = np.ascontiguousarray(image).reshape(height_in, -1)
    left, right, weight_left, weight_right = bilinear_taps(width_in, width, clamp_fraction=True)
    rows = _take_pixels(values, left, channels) * np.repeat(weight_left, channels)
    rows += _take_pixels(values, right, channels) * np.repeat(weight_right, channels)
    rows >>= 4
    return rows


def _blend(
    upper: np.ndarray, lower: np.ndarray, weight_upper: np.ndarray, weight_lower: np.ndarray
) -> np.ndarray:
    """Return the weighted sums of pairs of rows of `_resize_rows`, as uint8."""
    total = upper * weight_upper[:, None]
    total >>= 16
    below = lower * weight_lower[:, None]
    below >>= 16
    total += below
    total += 2
    total >>= 2
    return total.astype("uint8")


def _take_pixels(values: np.ndarray, columns: np.ndarray, channels: int) -> np.ndarray:
    """Take pixels from flattened rows, several times faster than from rows of short pixels."""
    return np.take(values, (columns[:, None] * channels + np.arange(channels)).ravel(), axis=1)


def bilinear_taps(
    length_in: Any,
    length_out: Any,
    clamp_fraction: bool,
    count: int | None = None,
    ops: Any = None,
) -> tuple[Any, Any, Any, Any]:
    """Return the two source pixels, and their weights, of each pixel of a resized axis.

    Args:
        length_in: pixels of the axis before: a number, or a tensor where a graph does not know it.
        length_out: pixels of the axis after, likewise.
        clamp_fraction: at the borders, give the outermost pixel the whole weight, as OpenCV does
            along rows. Along columns it repeats the outermost pixel and keeps the two weights,
            which are rounded separately.
        count: number of output pixels to compute; `None` for all.
        ops: `keras.ops`, needed where the lengths are tensors.

    Returns:
        Four int32 arrays `(count,)`: the indices of the first and the second pixel, and their
        weights in 1/2048.
    """
    known = isinstance(length_out, int)
    xp: Any = np if known else ops
    cast: Any = np.ndarray.astype if known else ops.cast
    length_in, length_out = (
        float(length) if known else ops.cast(length, "float64")
        for length in (length_in, length_out)
    )
    scale = 1 / (length_out / length_in)
    steps = xp.arange(int(length_out) if count is None else count, dtype="float64")
    centers = cast((steps + 0.5) * scale - 0.5, "float32")
    last = length_in - 1 if known else ops.cast(length_in - 1, "float32")
    first = xp.floor(centers)
    fraction = centers - first
    if clamp_fraction:
        fraction = xp.where((first < 0) | (first >= last), xp.zeros_like(fraction), fraction)
    lower, upper = (cast(xp.clip(first + i, 0, last), "int32") for i in (0, 1))
    weights = (cast(xp.round(w * 2**WEIGHT_BITS), "int32") for w in (1 - fraction, fraction))
    return lower, upper, *weights
