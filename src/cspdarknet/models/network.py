"""The CSPDarkNet network as a graph of Keras layers: input, Focus stem and CSP stages."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from cspdarknet import layers
from cspdarknet.models import graph


def image_input(
    shape: tuple[int | None, ...],
    input_tensor: Any,
    include_rescaling: bool,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    settings: layers.BlockSettings,
) -> tuple[Any, Any]:
    """Build the input of a backbone, and the rescaling of its pixels.

    Args:
        shape: shape of the images without the batch.
        input_tensor: Keras tensor to use as images; `None` for a new `keras.Input`.
        include_rescaling: whether pixels of 0..255 are rescaled to 0..1.
        mean: number to subtract from each channel, after that rescaling; `None` for no
            normalization.
        std: number to divide each channel by, after the subtraction.
        settings: as in `cspdarknet.layers`, with a dtype policy.

    Returns:
        The `keras.Input` tensor (or a list of them) that the images are computed from, and the
        tensor of images in the network's dtype.
    """
    if input_tensor is None:
        images = inputs = keras.Input(shape, dtype=settings.dtype.variable_dtype, name="images")
    else:
        images = input_tensor
        inputs = graph.source_inputs(images)
        inputs = inputs[0] if len(inputs) == 1 else inputs
    if mean is None and not include_rescaling and "float" in images.dtype:
        return inputs, images
    name = graph.free_name("rescaling", inputs)
    scale = 1 / 255.0 if include_rescaling else 1.0
    if mean is None or std is None:
        # Rescaling by 1 converts integer pixels to floats.
        return inputs, keras.layers.Rescaling(scale, dtype=settings.dtype, name=name)(images)
    return inputs, _normalization(scale, mean, std, name, settings)(images)


def _normalization(
    scale: float,
    mean: Sequence[float],
    std: Sequence[float],
    name: str,
    settings: layers.BlockSettings,
) -> keras.layers.Layer:
    """Return the layer from pixels `x` to `(x * scale - mean) / std`.

    It computes in float32: in half precision the difference of a pixel and the mean would lose most
    of its digits.
    """
    # With three axes, Keras broadcasts them alike whatever its global image data format is.
    shape = (-1, 1, 1) if settings.image_format == "channels_first" else (1, 1, -1)
    factors = (scale / np.asarray(std)).reshape(shape)
    offsets = (-np.asarray(mean) / np.asarray(std)).reshape(shape)
    dtype = layers.float32_or_wider(settings.dtype)
    return keras.layers.Rescaling(factors.tolist(), offsets.tolist(), dtype=dtype, name=name)


def pyramid_outputs(
    images: Any,
    stackwise_channels: Sequence[int],
    stackwise_depth: Sequence[int],
    use_depthwise: bool,
    settings: layers.BlockSettings,
) -> dict[str, Any]:
    """Build the Focus stem and the CSP stages on images, and return the output of each stage.

    Args:
        images: tensor of images.
        stackwise_channels: number of channels of each stage.
        stackwise_depth: number of bottlenecks of each stage.
        use_depthwise: whether the 3x3 blocks of the stages are depthwise separable.
        settings: as in `cspdarknet.layers`.

    Returns:
        A dict from pyramid level to tensor: `"P2"` of stride 4, `"P3"` of stride 8, and so on.
    """
    x = layers.focus_stem(images, stackwise_channels[0] // 2, name="stem_conv", settings=settings)
    spatial_block = layers.depthwise_conv_block if use_depthwise else layers.conv_block
    pyramid = {}
    last_level = len(stackwise_channels) + 1
    for level, (filters, depth) in enumerate(
        zip(stackwise_channels, stackwise_depth, strict=True), start=2
    ):
        stage = f"dark{level}"
        x = spatial_block(x, filters, 3, 2, name=f"{stage}_conv", settings=settings)
        if level == last_level:
            x = layers.spp(x, filters, name=f"{stage}_spp", settings=settings)
        x = layers.csp_stage(
            x,
            filters,
            depth,
            use_depthwise=use_depthwise,
            residual=level != last_level,
            name=f"{stage}_csp",
            settings=settings,
        )
        pyramid[f"P{level}"] = x
    return pyramid
