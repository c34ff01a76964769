"""Settings that all blocks of a network share."""

from dataclasses import dataclass
from typing import Any

import keras

from cspdarknet._arguments import check_choice, check_fraction, check_positive

# Names of the activations of blocks.
ACTIVATIONS = ("silu", "relu", "leaky_relu", "leaky_relu_0.01", "relu6", "hard_swish")
# Negative slopes: that of YOLOX and Darknet, and that of timm, PyTorch's default.
LEAKY_SLOPES = {"leaky_relu": 0.1, "leaky_relu_0.01": 0.01}
KERAS_NAMES = {"hard_swish": "hard_silu"}  # names in `keras.activations` that differ


def float32_or_wider(dtype: Any) -> str:
    """Return the dtype of outputs that must not be in half precision, such as boxes and scores.

    It is `"float64"` if the dtype policy computes in float64, and `"float32"` otherwise.
    """
    policy = keras.dtype_policies.get(dtype) if dtype else keras.config.dtype_policy()
    return "float64" if policy.compute_dtype == "float64" else "float32"


@dataclass(frozen=True, kw_only=True)
class BlockSettings:
    """Settings shared by all blocks of one network.

    Attributes:
        padding: `"same"` pads as TensorFlow does: a stride-2 convolution of an even size pads only
            at the bottom and right. `"symmetric"` pads as PyTorch does, `(kernel_size - 1) // 2`
            on every side; the official YOLOX weights need it. The two differ at stride 2 on even
            sizes only.
        data_format: `"channels_last"`, `"channels_first"`, or `None` for Keras's global setting.
        activation: name of the activation that follows each batch normalization, one of
            `ACTIVATIONS`.
        batch_norm_epsilon: added to the variances.
        batch_norm_momentum: decay of the moving averages, in Keras's convention: PyTorch's momentum
            is 1 minus this.
        dtype: dtype or dtype policy of every layer, `None` for Keras's global policy.
    """

    padding: str = "same"
    data_format: str | None = None
    activation: str = "silu"
    batch_norm_epsilon: float = 1e-3
    batch_norm_momentum: float = 0.99
    dtype: Any = None

    def __post_init__(self) -> None:
        check_choice("padding", self.padding, ("same", "symmetric"))
        check_choice("data_format", self.data_format, ("channels_last", "channels_first", None))
        check_choice("activation", self.activation, ACTIVATIONS)
        check_fraction("batch_norm_momentum", self.batch_norm_momentum)
        check_positive("batch_norm_epsilon", self.batch_norm_epsilon)

    @property
    def image_format(self) -> str:
        """The data format with Keras's global setting filled in."""
        return self.data_format or keras.config.image_data_format()

    @property
    def channel_axis(self) -> int:
        """The channel axis of a batch of images."""
        return -1 if self.image_format == "channels_last" else 1


DEFAULT = BlockSettings()
