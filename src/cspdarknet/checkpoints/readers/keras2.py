"""HDF5 weight files of Keras 2, as KerasCV published them before Keras 3.

Layer names in them carry counters of the process that wrote them, so they are read by order: in
each layer all trained weights come first (kernel, gamma, beta of each block), then the moving
means and variances.
"""

from collections.abc import Mapping
from itertools import chain, groupby
from pathlib import Path
from typing import Any

from cspdarknet.checkpoints.architecture import ConvUnit, conv_units, unit_variables
from cspdarknet.checkpoints.checkpoint import Checkpoint
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers.hdf5 import HDF5File
from cspdarknet.checkpoints.readers.keras3 import (
    KERASCV_CONVENTIONS,
    head_config,
    kerascv_config,
    kernel_target,
)
from cspdarknet.checkpoints.targets import Target, target

HEAD = "predictions"

Shapes = Mapping[str, tuple[int, ...]]


def is_keras2(file: HDF5File) -> bool:
    """Whether a file lists its layers as Keras 2 did."""
    return file.names("layer_names") is not None


def checkpoint(file: HDF5File) -> Checkpoint:
    """Return the `Checkpoint` of an open file of Keras 2."""
    layers = {name: _weight_paths(file, name) for name in file.names("layer_names") or ()}
    head = tuple(layers.pop(HEAD, ()))
    backbone = [paths for paths in layers.values() if paths]
    paths = {*head, *chain.from_iterable(backbone)}
    shapes = {name: shape for name, shape in file.shapes.items() if name in paths}
    return Checkpoint(
        file.path,
        "KerasCV, Keras 2",
        shapes,
        file.read,
        lambda model: layout(file.path, backbone, model),
        lambda: config(file.path, backbone, shapes, head),
        KERASCV_CONVENTIONS,
        head=head,
        close=file.close,
    )


def _weight_paths(file: HDF5File, layer: str) -> list[str]:
    return [f"{layer}/{weight}" for weight in file.names("weight_names", layer) or ()]


def layout(path: Path, layers: list[list[str]], model: Any) -> dict[str, Target]:
    """Return the target of each weight of a backbone, layer by layer.

    Args:
        path: the file, for error messages.
        layers: paths of the weights of each layer in the file.
        model: the backbone.

    Raises:
        CheckpointError: if the numbers of weights of the layers differ from the model's.
    """
    targets = [_layer_targets(model, units) for units in _kerascv_layers(model)]
    if [len(paths) for paths in layers] != [len(items) for items in targets]:
        raise CheckpointError(
            f"{path} is a file of another architecture: its layers hold "
            f"{[len(paths) for paths in layers]} weights, those of the model "
            f"{[len(items) for items in targets]}."
        )
    return dict(zip(chain.from_iterable(layers), chain.from_iterable(targets), strict=True))


def _kerascv_layers(model: Any) -> list[list[ConvUnit]]:
    """Group the convolutions as KerasCV grouped them: a block or a whole CSP stage is a layer."""

    def layer(unit: ConvUnit) -> tuple[Any, ...]:
        return (unit.block, unit.index, "" if unit.block == "csp" else unit.position)

    return [list(units) for _, units in groupby(conv_units(model), layer)]


def _layer_targets(model: Any, units: list[ConvUnit]) -> list[Target]:
    trained: list[Target] = []
    moving: list[Target] = []
    for unit in units:
        kernel, norm = unit_variables(model, unit)
        trained += [kernel_target(kernel, unit), *map(target, norm[:2])]
        moving += map(target, norm[2:])
    return trained + moving


def config(
    path: Path, layers: list[list[str]], shapes: Shapes, head: tuple[str, ...]
) -> ModelConfig:
    """Read the constructor arguments off the shapes of the weights of each layer.

    Raises:
        CheckpointError: if these are not the layers of a CSPDarkNet.
    """
    try:
        stem, *others = [[shapes[name] for name in paths] for paths in layers]
        use_depthwise = others[0][0][-1] == 1 and others[0][0][:2] == (3, 3)
        channels, depth = [], []
        for layer in others:
            kernels = [shape for shape in layer if len(shape) == 4]
            if kernels[0][:2] == (3, 3):
                channels.append(kernels[-1][-1])
            elif len(kernels) > 1:
                depth.append((len(kernels) - 3) // (3 if use_depthwise else 2))
        slices = stem[0][2]
    except (IndexError, KeyError, ValueError) as error:
        raise CheckpointError(f"{path} does not hold the layers of a CSPDarkNet.") from error
    return kerascv_config(channels, depth, use_depthwise, slices, head_config(shapes, head))
