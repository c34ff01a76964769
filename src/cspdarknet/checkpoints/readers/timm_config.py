"""Constructor arguments of timm's models, read off the names and shapes of their weights."""

import re
from typing import Any

from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.imagenet import COUNT, imagenet_names
from cspdarknet.checkpoints.readers.timm import (
    CONVENTIONS,
    HEAD,
    MEAN,
    Shapes,
    activation_of,
    normalization_of,
)
from cspdarknet.topologies import TOPOLOGIES, Architecture, Bottleneck

IMAGE_SIZE = 256  # of timm's models where a file does not tell it


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
    mean, std = normalization_of(name, channels)
    backbone = {
        "stackwise_channels": channels,
        "stackwise_depth": depth,
        "include_rescaling": True,
        "mean": list(mean),
        "std": list(std),
        "input_shape": (None, None, stem[0][1]),
        "topology": name,
        "stem_channels": stem_channels,
        "activation": activation_of(name),
        **CONVENTIONS,
    }
    if stem[0][1] != len(MEAN):
        backbone.update(mean=None, std=None)
    head = shapes.get(HEAD[0], ())
    arguments = head_arguments(head[0], IMAGE_SIZE) if len(head) == 2 else None
    return ModelConfig(backbone, arguments, assumed=frozenset({"mean", "std", "class_names"}))


def head_arguments(
    num_classes: int, image_size: int | None, crop: float | None = None
) -> dict[str, Any]:
    """Return the arguments of a classifier, with ImageNet's names for as many classes.

    Args:
        num_classes: number of classes.
        image_size: side in pixels of the test images.
        crop: timm's test crop, a part of the side of the central square; `None` or 1 for all of it.
    """
    names = list(imagenet_names()) if num_classes == COUNT else None
    return {
        "num_classes": num_classes,
        "image_size": image_size,
        "class_names": names,
        **({} if crop in (None, 1) else {"crop": crop}),
    }


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
