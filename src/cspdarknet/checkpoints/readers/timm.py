"""Names and layouts of timm's weights: the branches CS3, CSP and Darknet-53 of the family.

One 1x1 convolution of timm, `conv_exp`, computes both parts of a cross stage, where the models of
this package have two; its weights are cut in two here, as `conv_exp…[0]` and `conv_exp…[1]`. In the
CSP stage of `cspdarknet53` the parts change places, and so do the inputs of `conv_transition`.
All values are the same.

Source: `timm/models/cspnet.py` of huggingface/pytorch-image-models (Apache-2.0).
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from cspdarknet.checkpoints.architecture import (
    ConvUnit,
    attention_layers,
    backbone_of,
    classifier_head,
    conv_units,
    unit_variables,
)
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers.yolox import COUNTER, NORM
from cspdarknet.checkpoints.targets import Target, target
from cspdarknet.topologies import Architecture

# Backbone arguments of timm's models.
CONVENTIONS = {
    "padding": "symmetric",
    "batch_norm_epsilon": 1e-5,
    "batch_norm_momentum": 0.9,
}
# The mean and the standard deviation of the images are not in a weight file.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)  # both, of `cs3darknet_focus_s` alone
FOCUS_S = "cs3darknet_focus", (64, 128, 256, 512)  # its topology and channels
FILE = "model.safetensors"  # name of the weight file in a repository at Hugging Face
LEAKY = "leaky_relu_0.01"  # of the branches with a stem of one 3x3 convolution
# The first kernel, also of a model of timm's `features_only`, whose first dot is an underscore.
STEM = re.compile(r"(.*?)stem[._]conv1\.conv\.weight")
STAGE = re.compile(r"(.*?)stages[._]0\.(conv_down|conv_exp|blocks)\.")
HEAD = ("head.fc.weight", "head.fc.bias")
SPLIT = ".conv_exp."
ATTENTION = {"reduce": "fc1", "expand": "fc2"}

Shapes = Mapping[str, tuple[int, ...]]


def prefixes(names: Iterable[str]) -> list[str]:
    """Return the prefixes of the names of weights under which there is a model of timm."""
    listed = list(names)
    stages = {match[1] for name in listed if (match := STAGE.match(name))}
    stems = [match[1] for name in listed if (match := STEM.fullmatch(name))]
    return [prefix for prefix in stems if prefix in stages]


def normalization_of(
    topology: str, channels: Iterable[int]
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of the images of timm's model, of values in 0..1."""
    return (HALF, HALF) if (topology, tuple(channels)) == FOCUS_S else (MEAN, STD)


def activation_of(topology: str) -> str:
    """Return the activation of timm's models of a topology."""
    return "silu" if topology.startswith("cs3") else LEAKY


def layout(model: Any) -> dict[str, Target]:
    """Return the target of each name in a state dict of timm, with the expansions cut in two."""
    network = backbone_of(model).architecture
    if not network.topology.stem:
        raise CheckpointError(
            "A file of timm needs a model of one of timm's topologies. Received: a model with "
            f"topology={network.name!r}: `load_model(file)` builds the right one."
        )
    targets: dict[str, Target] = {}
    for unit in conv_units(backbone_of(model)):
        name, part = unit_name(unit, network)
        kernel, norm = unit_variables(model, unit)
        is_swapped = network.topology.branch_conv and unit.position == "conv3"
        targets[f"{name}.conv.weight{part}"] = _kernel(kernel, is_swapped)
        for weight, variable in zip(NORM, norm, strict=True):
            targets[f"{name}.bn.{weight}{part}"] = target(variable)
    for stage, number, part, layer in attention_layers(network):
        name = f"stages.{stage}.blocks.{number - 1}.attn.{ATTENTION[part]}"
        conv = model.get_layer(layer)
        targets |= {f"{name}.weight": _kernel(conv.kernel), f"{name}.bias": target(conv.bias)}
    return targets


def head_targets(model: Any) -> dict[str, Target]:
    """Return the targets of kernel and bias of a classifier; none for a backbone."""
    return dict(zip(HEAD, map(target, classifier_head(model)), strict=False))


def unit_name(unit: ConvUnit, network: Architecture) -> tuple[str, str]:
    """Return timm's name of a convolution, and which part of it the unit is: "[0]", "[1]" or ""."""
    if unit.block == "stem":
        return f"stem.{unit.position}", ""
    stage = f"stages.{unit.index}"
    if unit.block == "stage":
        return f"{stage}.conv_down{'.1' if network.topology.downsampling == 'pool' else ''}", ""
    if unit.position in ("conv1", "conv2"):
        is_second = (unit.position == "conv2") != network.topology.branch_conv
        return f"{stage}.conv_exp", f"[{int(is_second)}]"
    if unit.position.startswith("bottleneck"):
        number, conv = map(int, re.findall(r"\d+", unit.position))
        return f"{stage}.blocks.{number - 1}.conv{conv}", ""
    return f"{stage}.{'conv_transition_b' if unit.position == 'branch' else 'conv_transition'}", ""


def _kernel(kernel: Any, is_swapped: bool = False) -> Target:
    """Return the target of a kernel; `is_swapped` if the halves of its inputs change places."""
    height, width, channels, filters = kernel.shape
    shift = channels // 2 if is_swapped else 0
    return Target(
        kernel,
        (filters, channels, height, width),
        lambda array: np.roll(array.transpose(2, 3, 1, 0), shift, axis=2),
        lambda array: np.roll(array, -shift, axis=2).transpose(3, 2, 0, 1),
    )


def state_dict(arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return a state dict as timm has it from the arrays of `layout`, and a head's by `HEAD`."""
    tensors: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        whole, _, part = name.partition("[")
        if part:
            if whole not in tensors:
                tensors[whole] = np.concatenate([arrays[f"{whole}[0]"], arrays[f"{whole}[1]"]])
        else:
            tensors[name] = array.T if name == HEAD[0] else array
        if whole.endswith(".running_var"):
            tensors[whole.removesuffix(".running_var") + COUNTER] = np.zeros((), "int64")
    return tensors
