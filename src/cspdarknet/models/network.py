"""The CSPDarkNet network as a graph of Keras layers: input, stem and stages."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from cspdarknet import layers
from cspdarknet.models import graph
from cspdarknet.topologies import Architecture, Stage


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
    images: Any, network: Architecture, settings: layers.BlockSettings
) -> dict[str, Any]:
    """Build the stem and the stages on images, and return the output of each stage.

    Args:
        images: tensor of images.
        network: channels, depths and topology.
        settings: as in `cspdarknet.layers`.

    Returns:
        A dict from pyramid level to tensor: `"P2"` of stride 4, `"P3"` of stride 8, and so on, up
        to the output stride of the network.
    """
    x = _stem(images, network, settings)
    pyramid = {}
    for stage in network.stages():
        x = _downsampled(x, stage, network, settings)
        if stage.spp:
            x = layers.spp(x, stage.filters, name=f"dark{stage.level}_spp", settings=settings)
        x = pyramid[f"P{stage.level}"] = _stage(x, stage, network, settings)
    return pyramid


def _stem(images: Any, network: Architecture, settings: layers.BlockSettings) -> Any:
    if not network.topology.stem:
        ((filters, *_),) = network.stem
        return layers.focus_stem(images, filters, name=network.stem_layer, settings=settings)
    x = images
    for number, (filters, kernel_size, strides) in enumerate(network.stem, start=1):
        x = layers.conv_block(
            x, filters, kernel_size, strides, name=f"stem_conv{number}", settings=settings
        )
    return x


def _downsampled(
    x: Any, stage: Stage, network: Architecture, settings: layers.BlockSettings
) -> Any:
    """Halve height and width at the start of a stage, unless dilation replaces its stride."""
    name = f"dark{stage.level}_conv"
    if network.topology.downsampling == "pool":
        if stage.down_strides == 2:
            pool = keras.layers.AveragePooling2D(
                2, data_format=settings.data_format, dtype=settings.dtype, name=f"{name}_pool"
            )
            x = pool(x)
        return layers.conv_block(x, stage.down_filters, 1, name=name, settings=settings)
    block = layers.depthwise_conv_block if network.use_depthwise else layers.conv_block
    return block(
        x,
        stage.down_filters,
        3,
        stage.down_strides,
        dilation=stage.down_dilation,
        name=name,
        settings=settings,
    )


def _stage(x: Any, stage: Stage, network: Architecture, settings: layers.BlockSettings) -> Any:
    """Build the bottlenecks of a stage."""
    if not network.topology.cross_stage:
        return layers.bottleneck_chain(
            x,
            stage.depth,
            stage.bottleneck,
            dilation=stage.dilation,
            name=f"dark{stage.level}",
            output_name=f"dark{stage.level}_add",
            settings=settings,
        )
    return layers.csp_stage(
        x,
        stage.filters,
        stage.depth,
        use_depthwise=network.use_depthwise,
        residual=not stage.spp,
        bottleneck=stage.bottleneck,
        branch=stage.branch,
        branch_conv=network.topology.branch_conv,
        dilation=stage.dilation,
        name=f"dark{stage.level}_csp",
        settings=settings,
    )
