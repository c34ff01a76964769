"""Recognize a weight file by its content, and open it as a `Checkpoint`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers import (
    hdf5,
    yolox,
)
from cspdarknet.checkpoints.readers import (
    keras2 as keras2_h5,
)
from cspdarknet.checkpoints.readers import (
    keras3 as layouts,
)
from cspdarknet.checkpoints.readers import (
    onnx as onnx_file,
)
from cspdarknet.checkpoints.readers import (
    safetensors as safetensors_file,
)
from cspdarknet.checkpoints.readers import (
    torch as torch_file,
)
from cspdarknet.checkpoints.targets import Target

KERASCV = {"padding": "same", "batch_norm_epsilon": 1e-3}


@dataclass(frozen=True)
class Checkpoint:
    """An open weight file.

    Attributes:
        kind: name of the format, for people.
        shapes: shape of each weight that a model can take, by its path in the file.
        read: returns the array at a path.
        layout: returns what a backbone or a detector needs, by path.
        config: constructor arguments read off the file; None where it does not tell.
        conventions: arguments without which the weights mean something else.
        head: paths of what is not the backbone's: the kernel and bias of a classifier's head, or
            a detector's neck and head.
        head_config: a detector's arguments read off the file; None where it has none.
    """

    kind: str
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], np.ndarray]
    layout: Callable[[Any], dict[str, Target]]
    config: Callable[[], dict[str, Any] | None] = lambda: None
    conventions: Mapping[str, Any] = field(default_factory=dict)
    head: tuple[str, ...] = ()
    head_config: Callable[[], dict[str, Any] | None] = lambda: None


@contextmanager
def opened(path: Path) -> Iterator[Checkpoint]:
    """Open a weight file of any known format.

    Raises:
        CheckpointError: if the file is missing, damaged, unsafe or of an unknown format.
    """
    if not path.is_file():
        raise CheckpointError(f"There is no weight file {path}.")
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith(b"\x89HDF\r\n\x1a\n"):
        with hdf5.opened(path) as h5:
            yield _hdf5(h5)
    elif start.startswith(b"PK"):
        yield _torch(path)
    elif safetensors_file.recognized(start):
        yield _safetensors(path)
    elif path.suffix == ".onnx":
        yield _state_dict("ONNX export of YOLOX", path, onnx_file.read_onnx(path))
    elif path.suffix in (".h5", ".hdf5"):
        raise CheckpointError(f"{path} is not a readable HDF5 file, or damaged.")
    elif path.suffix in (".pth", ".pt"):
        torch_file.read_torch(path)
        raise CheckpointError(f"{path} is damaged.")
    else:
        raise CheckpointError(
            f"{path} is of no known format: expected HDF5 (.h5), PyTorch (.pth), safetensors or "
            f"ONNX (.onnx), found the bytes {start!r}."
        )


def _hdf5(file: Any) -> Checkpoint:
    found = hdf5.datasets(file)

    def read(name: str) -> np.ndarray:
        return hdf5.read(file, name, found[name])

    if keras2_h5.is_keras2(file):
        return _keras2(file, found, read)
    return _keras3({name: item.shape for name, item in found.items()}, read)


def _keras2(file: Any, found: Mapping[str, Any], read: Callable[[str], np.ndarray]) -> Checkpoint:
    head = keras2_h5.head_paths(file)
    names = {*head, *(path for paths in keras2_h5.layer_paths(file) for path in paths)}
    return Checkpoint(
        "KerasCV, Keras 2",
        {name: item.shape for name, item in found.items() if name in names},
        read,
        lambda model: keras2_h5.layout(file, model),
        lambda: keras2_h5.config(file),
        KERASCV,
        head,
    )


def _keras3(found: Mapping[str, tuple[int, ...]], read: Callable[[str], np.ndarray]) -> Checkpoint:
    shapes = {name: shape for name, shape in found.items() if layouts.is_weight(name)}
    is_classifier = any(name.startswith(layouts.NESTED) for name in shapes)
    before = layouts.NESTED if is_classifier else ""
    head = tuple(name for name in layouts.HEAD if name in shapes) if is_classifier else ()
    backbone = {name.removeprefix(before): shapes[name] for name in shapes if name not in head}
    is_kerascv = layouts.is_kerascv(backbone)
    layout = layouts.kerascv_layout if is_kerascv else layouts.keras_layout

    def nested(model: Any) -> dict[str, Target]:
        return {before + path: goal for path, goal in layout(model).items()}

    if not is_kerascv:
        return Checkpoint("Keras", shapes, read, nested, head=head)
    return Checkpoint(
        "KerasCV, Keras 3",
        shapes,
        read,
        nested,
        lambda: layouts.kerascv_config(backbone),
        KERASCV,
        head,
    )


def _torch(path: Path) -> Checkpoint:
    content = torch_file.read_torch(path)
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content = content["model"]
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds no state dict.")
    arrays = {name: item for name, item in content.items() if isinstance(item, np.ndarray)}
    return _state_dict("YOLOX, PyTorch", path, arrays)


def _state_dict(kind: str, path: Path, arrays: dict[str, np.ndarray]) -> Checkpoint:
    before = yolox.prefix(arrays)
    if before is None:
        raise CheckpointError(f"{path} holds no CSPDarkNet of YOLOX: no {yolox.STEM!r} in it.")
    head = yolox.detector_part(arrays, before)
    shapes = {name: arrays[name].shape for name in (*yolox.backbone_part(arrays, before), *head)}
    return Checkpoint(
        kind,
        shapes,
        lambda name: arrays[name].astype("float32"),
        lambda model: yolox.layout(model, before),
        lambda: yolox.config(str(path), shapes, before),
        {name: yolox.CONVENTIONS[name] for name in ("padding", "batch_norm_epsilon")},
        tuple(head),
        lambda: yolox.head_config(str(path), shapes, before),
    )


def _safetensors(path: Path) -> Checkpoint:
    content = safetensors_file.read(path)
    return Checkpoint(
        "safetensors",
        {name: array.shape for name, array in content.arrays.items()},
        lambda name: content.arrays[name].astype("float32"),
        layouts.by_variable_path,
        lambda: content.config,
        head=layouts.head_variables(content.arrays),
    )
