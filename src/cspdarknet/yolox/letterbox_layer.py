"""Letterboxing as a Keras layer, bit-equal to `cspdarknet.yolox.letterbox.letterbox`."""

from typing import Any

import keras
from keras import ops

from cspdarknet._image_size import ImageSize, check_image_size, sides, to_json
from cspdarknet.yolox.letterbox import PADDING, WEIGHT_BITS, bilinear_taps, fitted_size


@keras.saving.register_keras_serializable(package="cspdarknet")
class Letterbox(keras.layers.Layer):
    """Letterbox a batch of images of one size.

    Args:
        size: side of the squares in pixels, or height and width.
        data_format: `"channels_last"` or `"channels_first"`, of images and squares.
        round_values: whether to round the values and to resize in integers, as images of 8 bits
            are; `False` keeps the values, as of float32 images in `letterbox`.

    Returns:
        The squares, and the images' height and width, `(batch, 2)`.
    """

    def __init__(
        self,
        size: ImageSize,
        data_format: str = "channels_last",
        round_values: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size, self.data_format = check_image_size(size), data_format
        self.round_values = round_values

    def compute_output_shape(self, images_shape: Any) -> Any:
        """Return the shapes of the squares and of the image sizes."""
        if self.data_format == "channels_last":
            square = (*sides(self.size), images_shape[-1])
        else:
            square = (images_shape[1], *sides(self.size))
        return (images_shape[0], *square), (images_shape[0], 2)

    def call(self, images: Any) -> tuple[Any, Any]:
        """Letterbox images of 0..255."""
        if self.data_format == "channels_first":
            images = ops.transpose(images, (0, 2, 3, 1))
        batch, height, width = ops.shape(images)[:3]
        squares = ops.cast(self._resize(images, height, width), images.dtype)
        if self.data_format == "channels_first":
            squares = ops.transpose(squares, (0, 3, 1, 2))
        sizes = ops.cast(ops.stack([height, width]), "float32")
        return squares, ops.broadcast_to(sizes[None], (batch, 2))

    def _resize(self, images: Any, height: Any, width: Any) -> Any:
        """Resize as `letterbox.resize` does, and fill the rest of the square with gray."""
        known = isinstance(height, int) and isinstance(width, int)
        fit = fitted_size if known else _fitted_size_of_tensors
        new_height, new_width, _ = fit(height, width, self.size)
        rows_out, columns_out = sides(self.size)
        rows, columns = (
            [ops.convert_to_tensor(array) for array in bilinear_taps(*arguments, ops)]
            for arguments in (
                (height, new_height, not self.round_values, rows_out),
                (width, new_width, True, columns_out),
            )
        )
        resize = _resized_integers if self.round_values else _resized_floats
        resized = resize(images, rows, columns)
        inside = (ops.arange(rows_out) < new_height)[:, None] & (
            ops.arange(columns_out) < new_width
        )
        return ops.where(inside[:, :, None], resized, ops.cast(PADDING, resized.dtype))

    def get_config(self) -> dict[str, Any]:
        """Return the arguments that rebuild this layer."""
        return {
            **super().get_config(),
            "size": to_json(self.size),
            "data_format": self.data_format,
            "round_values": self.round_values,
        }


def _resized_integers(images: Any, rows: Any, columns: Any) -> Any:
    """Round and resize images as `letterbox.resize` does those of uint8."""
    pixels = ops.cast(ops.clip(ops.round(images), 0, 255), "int32")
    left, right, left_weight, right_weight = columns
    upper, lower, upper_weight, lower_weight = rows
    strips = ops.take(pixels, left, axis=2) * left_weight[:, None]
    strips = (strips + ops.take(pixels, right, axis=2) * right_weight[:, None]) // 2**4
    total = ops.take(strips, upper, axis=1) * upper_weight[:, None, None] // 2**16
    total = total + ops.take(strips, lower, axis=1) * lower_weight[:, None, None] // 2**16
    return (total + 2) // 4


def _resized_floats(images: Any, rows: Any, columns: Any) -> Any:
    """Resize images as `letterbox.resize` does those of float32."""
    (upper, lower, *row_weights), (left, right, *column_weights) = rows, columns
    above, below, before, after = (
        ops.cast(weight, images.dtype) / 2**WEIGHT_BITS for weight in row_weights + column_weights
    )
    mixed = ops.take(images, upper, axis=1) * above[:, None, None]
    mixed = mixed + ops.take(images, lower, axis=1) * below[:, None, None]
    mixed_left = ops.take(mixed, left, axis=2) * before[:, None]
    return mixed_left + ops.take(mixed, right, axis=2) * after[:, None]


def _fitted_size_of_tensors(height: Any, width: Any, size: ImageSize) -> tuple[Any, Any, Any]:
    """`fitted_size` where a graph does not know the image's size (TensorFlow)."""
    height, width = (ops.cast(side, "float64") for side in (height, width))
    largest_height, largest_width = sides(size)
    ratio = ops.minimum(largest_height / height, largest_width / width)
    fitted = (ops.maximum(1, ops.cast(side * ratio, "int32")) for side in (height, width))
    return *fitted, ratio
