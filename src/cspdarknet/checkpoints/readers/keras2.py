"""The HDF5 weight files of Keras 2, as KerasCV published them before Keras 3.

Layer names in them carry counters of the process that wrote them, so they are read by order: in
each layer all trained weights come first (kernel, gamma, beta of each block), then the averages.
"""

from itertools import groupby
from typing import Any

import h5py

from cspdarknet.checkpoints.architecture import ConvUnit, conv_units, unit_variables
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers import keras3 as layouts
from cspdarknet.checkpoints.targets import Target, target

HEAD = "predictions"


def is_keras2(file: h5py.File) -> bool:
    """Whether a file lists its layers as Keras 2 did."""
    return "layer_names" in file.attrs


def head_paths(file: h5py.File) -> tuple[str, ...]:
    """Return the paths of the kernel and bias of the classifier's head, where there is one."""
    if HEAD not in _names(file, "layer_names") or HEAD not in file:
        return ()
    return tuple(f"{HEAD}/{weight}" for weight in _names(file[HEAD], "weight_names"))


def layer_paths(file: h5py.File) -> list[list[str]]:
    """Return the paths of the weights of each layer of the backbone that has some."""
    layers = []
    for layer in _names(file, "layer_names"):
        if layer not in file:
            raise CheckpointError(f"{file.filename} lists a layer {layer!r} that it does not hold.")
        weights = _names(file[layer], "weight_names")
        if weights and layer != HEAD:
            layers.append([f"{layer}/{weight}" for weight in weights])
    return layers


def _names(group: Any, attribute: str) -> list[str]:
    names = group.attrs.get(attribute, [])
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def layout(file: h5py.File, model: Any) -> dict[str, Target]:
    """Return the target of each path, layer by layer."""
    found = layer_paths(file)
    wanted = [_layer_targets(model, units) for units in _layers(model)]
    if [len(layer) for layer in found] != [len(layer) for layer in wanted]:
        raise CheckpointError(
            f"{file.filename} does not belong to this architecture: its layers hold "
            f"{[len(layer) for layer in found]} weights, those of the model "
            f"{[len(layer) for layer in wanted]}."
        )
    return {
        path: goal
        for paths, goals in zip(found, wanted, strict=True)
        for path, goal in zip(paths, goals, strict=True)
    }


def _layers(model: Any) -> list[list[ConvUnit]]:
    """Group the convolutions as KerasCV grouped them: a block or a whole CSP stage is a layer."""

    def layer(unit: ConvUnit) -> tuple[Any, ...]:
        return (unit.part, unit.stage, "" if unit.part == "csp" else unit.place)

    return [list(units) for _, units in groupby(conv_units(model), layer)]


def _layer_targets(model: Any, units: list[ConvUnit]) -> list[Target]:
    trained: list[Target] = []
    averages: list[Target] = []
    for unit in units:
        kernel, norm = unit_variables(model, unit)
        trained += [layouts.kernel_target(kernel, unit), *map(target, norm[:2])]
        averages += map(target, norm[2:])
    return trained + averages


def config(file: h5py.File) -> dict[str, Any]:
    """Read the architecture off the layers' weights (rescaling leaves no trace: True is usual)."""
    layers = [[file[path] for path in paths] for paths in layer_paths(file)]
    try:
        stem, *rest = layers
        use_depthwise = rest[0][0].shape[-1] == 1 and rest[0][0].shape[:2] == (3, 3)
        channels, depth = [], []
        for layer in rest:
            kernels = [item.shape for item in layer if len(item.shape) == 4]
            if kernels[0][:2] == (3, 3):
                channels.append(kernels[-1][-1])
            elif len(kernels) > 1:
                depth.append((len(kernels) - 3) // (3 if use_depthwise else 2))
        bands = stem[0].shape[2] // 4
    except (IndexError, ValueError) as error:
        raise CheckpointError(f"{file.filename} holds no CSPDarkNet.") from error
    return {
        "stackwise_channels": channels,
        "stackwise_depth": depth,
        "use_depthwise": use_depthwise,
        "include_rescaling": True,
        "input_shape": (None, None, bands),
    }
