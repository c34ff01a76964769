"""Letterboxing as a Keras layer, bit-equal to `cspdarknet.yolox.letterbox.letterbox`."""

from typing import Any

import keras
from keras import ops

from cspdarknet.yolox.letterbox import PADDING, bilinear_taps, fitted_size


@keras.saving.register_keras_serializable(package="cspdarknet")
class Letterbox(keras.layers.Layer):
    """Letterbox a batch of images of one size.

    Args:
        size: side of the squares in pixels.
        data_format: `"channels_last"` or `"channels_first"`, of images and squares.

    Returns:
        The squares, and the images' height and width, `(batch, 2)`.
    """

    def __init__(self, size: int, data_format: str = "channels_last", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size, self.data_format = size, data_format

    def compute_output_shape(self, images_shape: Any) -> Any:
        """Return the shapes of the squares and of the image sizes."""
        sides = (self.size, self.size)
        square = (*sides, 3) if self.data_format == "channels_last" else (3, *sides)
        return (images_shape[0], *square), (images_shape[0], 2)

    def call(self, images: Any) -> tuple[Any, Any]:
        """Letterbox images of 0..255; values in between are rounded."""
        if self.data_format == "channels_first":
            images = ops.transpose(images, (0, 2, 3, 1))
        batch, height, width = ops.shape(images)[:3]
        pixels = ops.cast(ops.clip(ops.round(images), 0, 255), "int32")
        squares = ops.cast(self._resize(pixels, height, width), images.dtype)
        if self.data_format == "channels_first":
            squares = ops.transpose(squares, (0, 3, 1, 2))
        sizes = ops.cast(ops.stack([height, width]), "float32")
        return squares, ops.broadcast_to(sizes[None], (batch, 2))

    def _resize(self, pixels: Any, height: Any, width: Any) -> Any:
        """Resize as `letterbox.resize` does, and fill the rest of the square with gray."""
        known = isinstance(height, int) and isinstance(width, int)
        fit = fitted_size if known else _fitted_size_of_tensors
        new_height, new_width, _ = fit(height, width, self.size)
        horizontal, vertical = (
            [ops.convert_to_tensor(array) for array in bilinear_taps(*lengths, self.size, ops)]
            for lengths in ((width, new_width, True), (height, new_height, False))
        )
        left, right, left_weight, right_weight = horizontal
        upper, lower, upper_weight, lower_weight = vertical
        rows = ops.take(pixels, left, axis=2) * left_weight[:, None]
        rows = (rows + ops.take(pixels, right, axis=2) * right_weight[:, None]) // 2**4
        total = ops.take(rows, upper, axis=1) * upper_weight[:, None, None] // 2**16
        total = total + ops.take(rows, lower, axis=1) * lower_weight[:, None, None] // 2**16
        index = ops.arange(self.size)
        inside = (index < new_height)[:, None] & (index < new_width)
        return ops.where(inside[:, :, None], (total + 2) // 4, PADDING)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer."""
        return {**super().get_config(), "size": self.size, "data_format": self.data_format}


def _fitted_size_of_tensors(height: Any, width: Any, size: int) -> tuple[Any, Any, Any]:
    """`fitted_size` where a graph does not know the image's size (TensorFlow)."""
    height, width = (ops.cast(side, "float64") for side in (height, width))
    ratio = ops.minimum(size / height, size / width)
    sides = (ops.maximum(1, ops.cast(side * ratio, "int32")) for side in (height, width))
    return *sides, ratio
