"""Names and layouts of timm's weights: the branches CS3, CSP and Darknet-53 of the family.

One 1x1 convolution of timm, `conv_exp`, computes both parts of a cross stage, where the models of
this package have two; its weights are cut in two here, as `conv_exp…[0]` and `conv_exp…[1]`. In the
CSP stage of `cspdarknet53` the parts change places, and so do the inputs of `conv_transition`.
All values are the same.

Source: `timm/models/cspnet.py` of huggingface/pytorch-image-models (Apache-2.0).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
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
from cspdarknet.checkpoints.checkpoint import Checkpoint
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers.yolox import COUNTER, NORM
from cspdarknet.checkpoints.targets import Target, target
from cspdarknet.topologies import TOPOLOGIES, Architecture, Bottleneck

# Backbone arguments of timm's models. The mean and the standard deviation are not in a weight file:
# these are those of all but `cs3darknet_focus_s`.
CONVENTIONS = {
    "padding": "symmetric",
    "batch_norm_epsilon": 1e-5,
    "batch_norm_momentum": 0.9,
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
IMAGE_SIZE = 256
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


@dataclass(frozen=True)
class TimmWeights:
    """A state dict of timm.

    Attributes:
        path: the file.
        format: name of its format.
        shapes: shape of each weight by its name in timm, without prefix.
        read: returns a weight by such a name.
        notes: what a user of the weights should know.
    """

    path: Path
    format: str
    shapes: Shapes
    read: Callable[[str], np.ndarray]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        path: Path,
        file_format: str,
        shapes: Shapes,
        read: Callable[[str], np.ndarray],
        prefix: str = "",
        notes: tuple[str, ...] = (),
    ) -> "TimmWeights":
        """Take the weights with a prefix from those of a file."""
        places = {}
        for name in shapes:
            if name.startswith(prefix) and not name.endswith(COUNTER):
                plain = re.sub(r"^(stem|stages)_", r"\1.", name.removeprefix(prefix))
                places[plain] = name
        named = {plain: shapes[name] for plain, name in places.items()}
        return cls(path, file_format, named, lambda name: read(places[name]), notes)

    def checkpoint(self) -> Checkpoint:
        """Return the weights as an open file."""
        return Checkpoint(
            self.path,
            self.format,
            dict(self._parts()),
            self._read_part,
            layout,
            self._config,
            {name: CONVENTIONS[name] for name in ("padding", "batch_norm_epsilon")},
            head=tuple(name for name in HEAD if name in self.shapes),
            notes=self.notes,
        )

    def _parts(self) -> Iterable[tuple[str, tuple[int, ...]]]:
        """Yield name and shape of each weight, with the expansions cut in two."""
        for name, shape in self.shapes.items():
            if SPLIT in name and shape:
                for part in (0, 1):
                    yield f"{name}[{part}]", (shape[0] // 2, *shape[1:])
            else:
                yield name, shape[::-1] if name == HEAD[0] else shape

    def _read_part(self, name: str) -> np.ndarray:
        whole, _, part = name.partition("[")
        array = self.read(whole).astype("float32", copy=False)
        if part:
            half = array.shape[0] // 2
            return array[half:] if part == "1]" else array[:half]
        return array.T if name == HEAD[0] else array

    def _config(self) -> ModelConfig:
        return config(str(self.path), self.shapes)


def config(file: str, shapes: Shapes) -> ModelConfig:
    """Read the constructor arguments off the names and shapes of a state dict.

    Raises:
        CheckpointError: if these are not the weights of a network of the family.
    """
    stem = _kernels(shapes, r"stem\.conv\d+\.conv\.weight")
    cross_stage = "stages.0.conv_exp.conv.weight" in shapes
    last = "conv_transition.conv.weight" if cross_stage else "blocks.0.conv2.conv.weight"
    stages = _kernels(shapes, rf"stages\.\d+\.{re.escape(last)}")
    if not stem or not stages:
        raise CheckpointError(f"{file} does not hold a CSPDarkNet of timm: a stage is missing.")
    depth = [_count(shapes, rf"stages\.{i}\.blocks\.(\d+)\.") for i in range(len(stages))]
    channels = [shape[0] for shape in stages]
    stem_channels = [shape[0] for shape in stem]
    name = _topology(file, shapes, channels, depth, stem_channels)
    backbone = {
        "stackwise_channels": channels,
        "stackwise_depth": depth,
        "include_rescaling": True,
        "mean": list(MEAN),
        "std": list(STD),
        "input_shape": (None, None, stem[0][1]),
        "topology": name,
        "stem_channels": stem_channels,
        "activation": activation_of(name),
        **CONVENTIONS,
    }
    if stem[0][1] != len(MEAN):
        backbone.update(mean=None, std=None)
    head = shapes.get(HEAD[0], ())
    arguments = {"num_classes": head[0], "image_size": IMAGE_SIZE} if len(head) == 2 else None
    return ModelConfig(backbone, arguments, assumed=frozenset({"mean", "std", "class_names"}))


def activation_of(topology: str) -> str:
    """Return the activation of timm's models of a topology."""
    return "silu" if topology.startswith("cs3") else LEAKY


def _kernels(shapes: Shapes, pattern: str) -> list[tuple[int, ...]]:
    """Return the shapes of the kernels whose names match, in the order of their numbers."""
    names = [name for name in shapes if re.fullmatch(pattern, name) and len(shapes[name]) == 4]
    return [shapes[name] for name in sorted(names, key=lambda n: int(re.findall(r"\d+", n)[0]))]


def _count(shapes: Shapes, pattern: str) -> int:
    """Count the different numbers that a pattern captures in the names."""
    number = re.compile(pattern)
    return len({match[1] for name in shapes if (match := number.match(name))})


def _topology(
    file: str,
    shapes: Shapes,
    channels: list[int],
    depth: list[int],
    stem_channels: list[int],
) -> str:
    """Return the key of `TOPOLOGIES` whose networks have weights of these names and shapes."""
    for name, topology in TOPOLOGIES.items():
        if len(topology.stem) != len(stem_channels):
            continue
        network = Architecture(channels, depth, name=name, stem_channels=stem_channels)
        if all(shapes.get(key) == shape for key, shape in _marks(network, shapes).items()):
            return name
    raise CheckpointError(
        f"{file} is a model of timm of another structure than its CSPDarkNets, which are "
        f"{', '.join(name for name in TOPOLOGIES if TOPOLOGIES[name].stem)}."
    )


def _marks(network: Architecture, shapes: Shapes) -> dict[str, tuple[int, ...] | None]:
    """Return the shapes by which a topology is known; `None` for weights that it does not have."""
    topology, (_, side, _) = network.topology, network.stem[0]
    stage, first = next(network.stages()), "stages.0"
    inputs = shapes.get("stem.conv1.conv.weight", (0, 0))[1]
    marks: dict[str, tuple[int, ...] | None] = {
        "stem.conv1.conv.weight": (network.stem[0][0], inputs, side, side)
    }
    if not topology.cross_stage:
        marks[f"{first}.conv_exp.conv.weight"] = None
    pooled, plain = f"{first}.conv_down.1.conv.weight", f"{first}.conv_down.conv.weight"
    pools = topology.downsampling == "pool"
    size = (stage.down_filters, stage.inputs, *((1, 1) if pools else (3, 3)))
    marks |= {pooled: size if pools else None, plain: None if pools else size}
    branch = (stage.branch, stage.branch, 1, 1) if topology.branch_conv else None
    marks[f"{first}.conv_transition_b.conv.weight"] = branch
    for index, each in enumerate(network.stages()):
        if each.depth:
            marks |= _block_marks(f"stages.{index}.blocks.0", each.branch, each.bottleneck)
    return marks


def _block_marks(
    name: str, channels: int, bottleneck: Bottleneck
) -> dict[str, tuple[int, ...] | None]:
    inner, attention = bottleneck.inner(channels), bottleneck.attention(channels)
    side = bottleneck.kernel_sizes[0]
    weights = (attention, inner, 1, 1) if attention else None
    return {
        f"{name}.conv1.conv.weight": (inner, channels, side, side),
        f"{name}.attn.fc1.weight": weights,
    }


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
