"""`.weights.h5` files of Keras 3, as this package and KerasCV write them."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cspdarknet.checkpoints import stem
from cspdarknet.checkpoints.architecture import ConvUnit, conv_units, unit_variables
from cspdarknet.checkpoints.checkpoint import Checkpoint
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.readers.hdf5 import HDF5File
from cspdarknet.checkpoints.targets import Target, target

KERASCV_CONVENTIONS = {"padding": "same", "batch_norm_epsilon": 1e-3}
# Where the file of a classifier has its backbone, and the kernel and bias of its head.
NESTED = "layers/csp_dark_net_backbone/"
HEAD = ("layers/dense/vars/0", "layers/dense/vars/1")

Shapes = Mapping[str, tuple[int, ...]]


def checkpoint(file: HDF5File) -> Checkpoint:
    """Return the `Checkpoint` of an open file of Keras 3."""
    # Keras also writes the state of the optimizer of a compiled model.
    shapes = {name: s for name, s in file.shapes.items() if "optimizer" not in name.split("/")}
    is_classifier = any(name.startswith(NESTED) for name in shapes)
    prefix = NESTED if is_classifier else ""
    head = tuple(name for name in HEAD if name in shapes) if is_classifier else ()
    backbone = {name.removeprefix(prefix): shapes[name] for name in shapes if name not in head}
    is_kerascv = any(name.startswith("layers/cross_stage_partial") for name in backbone)
    layout = kerascv_layout if is_kerascv else keras_layout

    def config() -> ModelConfig:
        if is_kerascv:
            return _kerascv_config(backbone, head_config(shapes, head))
        return ModelConfig({}, head_config(shapes, head))

    return Checkpoint(
        file.path,
        "KerasCV, Keras 3" if is_kerascv else "Keras",
        shapes,
        file.read,
        lambda model: {prefix + path: item for path, item in layout(model).items()},
        config,
        KERASCV_CONVENTIONS if is_kerascv else {},
        head=head,
        numbers_layers=not is_kerascv,
        close=file.close,
    )


def keras_layout(model: Any) -> dict[str, Target]:
    """Return paths as Keras writes them for a functional model, numbered by layer class."""
    return {
        f"{path}/vars/{i}": target(variable)
        for path, layer in keras_layers(model)
        for i, variable in enumerate(layer.weights)
    }


def keras_layers(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the path of each layer's group in a file of Keras, and the layer."""
    counts: Counter[str] = Counter()
    for layer in model.layers:
        class_name = _snake_case(type(layer).__name__)
        path = f"{prefix}layers/{_numbered(class_name, counts[class_name])}"
        counts[class_name] += 1
        if hasattr(layer, "layers"):  # a model in front of the backbone
            yield from keras_layers(layer, f"{path}/")
        else:
            yield path, layer


def _snake_case(name: str) -> str:
    name = re.sub(r"(.)([A-Z][a-z0-9]+)", r"\1_\2", name)
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()


def kerascv_layout(model: Any) -> dict[str, Target]:
    """Return paths as KerasCV's `CSPDarkNetBackbone` has them, by position in nested layers."""
    targets = {}
    groups = _kerascv_groups(conv_units(model))
    for unit in conv_units(model):
        group = groups[unit.block, unit.index, unit.position]
        if unit.conv_type == "pointwise":
            group += "/layers/sequential"
        layer = "depthwise_conv2d" if unit.conv_type == "depthwise" else "conv2d"
        kernel, norm = unit_variables(model, unit)
        targets[f"{group}/layers/{layer}/vars/0"] = kernel_target(kernel, unit)
        for i, variable in enumerate(norm):
            targets[f"{group}/layers/batch_normalization/vars/{i}"] = target(variable)
    return targets


def kernel_target(kernel: Any, unit: ConvUnit) -> Target:
    """Return the target of a kernel in KerasCV's form, which has the stem's as a 3x3 kernel."""
    if unit.block != "stem":
        return target(kernel)
    return Target(kernel, stem.folded_shape(tuple(kernel.shape)), stem.unfold, stem.fold)


def _kerascv_groups(units: Iterable[ConvUnit]) -> dict[tuple[str, int, str], str]:
    """Return the HDF5 group of each block: top-level layers are numbered by class, in order."""
    groups = {}
    sequential = 0
    for unit in units:
        key = (unit.block, unit.index, unit.position)
        if key in groups:
            continue
        if unit.block != "csp":
            groups[key] = f"layers/{_numbered('sequential', sequential)}"
            sequential += 1
            continue
        stage = _stage_group(unit.index)
        if unit.position.startswith("bottleneck"):
            number, conv = map(int, re.findall(r"\d+", unit.position))
            index = 2 * (number - 1) + conv - 1
            groups[key] = f"{stage}/bottleneck_convs/{_numbered('sequential', index)}"
        else:
            groups[key] = f"{stage}/darknet_{unit.position}"
    return groups


def _stage_group(stage: int) -> str:
    return f"layers/{_numbered('cross_stage_partial', stage)}"


def _numbered(name: str, index: int) -> str:
    return f"{name}_{index}" if index else name


def _kerascv_config(shapes: Shapes, head: dict[str, Any] | None) -> ModelConfig:
    """Read the constructor arguments off the paths and shapes of KerasCV's backbone."""
    channels: list[int] = []
    depth: list[int] = []
    last = "darknet_conv3/layers/conv2d/vars/0"
    while shape := shapes.get(f"{(stage := _stage_group(len(channels)))}/{last}"):
        channels.append(shape[-1])
        bottleneck = re.compile(rf"{stage}/bottleneck_convs/(sequential(?:_\d+)?)/")
        convs = {match[1] for path in shapes if (match := bottleneck.match(path))}
        depth.append(len(convs) // 2)
    use_depthwise = "layers/sequential_1/layers/depthwise_conv2d/vars/0" in shapes
    stem_shape = shapes.get("layers/sequential/layers/conv2d/vars/0", ())
    slices = stem_shape[2] if len(stem_shape) == 4 else 0
    return kerascv_config(channels, depth, use_depthwise, slices, head)


def kerascv_config(
    channels: list[int],
    depth: list[int],
    use_depthwise: bool,
    stem_slices: int,
    head: dict[str, Any] | None,
) -> ModelConfig:
    """Return the config of a weight file of KerasCV.

    The weights do not show whether the model rescales its input; those of KerasCV's presets do.
    """
    backbone = {
        "stackwise_channels": channels,
        "stackwise_depth": depth,
        "use_depthwise": use_depthwise,
        "include_rescaling": True,
        "input_shape": (None, None, stem_slices // 4),
    }
    return ModelConfig(backbone, head, assumed=frozenset({"include_rescaling"}))


def head_config(shapes: Shapes, head: tuple[str, ...]) -> dict[str, Any] | None:
    """Return the arguments of a classifier with this kernel and bias; `None` without these."""
    if len(head) != 2 or len(kernel := shapes.get(head[0], ())) != 2:
        return None
    return {"num_classes": kernel[1]}
