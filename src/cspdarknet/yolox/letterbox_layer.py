"""The letterbox as a layer of a graph."""

from typing import Any

import keras
from keras import ops

from cspdarknet.yolox.letterbox import PADDING, fitted, taps


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
            [ops.convert_to_tensor(part) for part in taps(*lengths, self.size, ops)]
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


def _fitted_tensors(height: Any, width: Any, size: int) -> tuple[Any, Any, Any]:
    """`fitted` where a graph does not know the photo's size (TensorFlow)."""
    height, width = (ops.cast(side, "float64") for side in (height, width))
    ratio = ops.minimum(size / height, size / width)
    sides = (ops.maximum(1, ops.cast(side * ratio, "int32")) for side in (height, width))
    return *sides, ratio
