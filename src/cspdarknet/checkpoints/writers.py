"""Writers of weight files, by the suffix of the file."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from cspdarknet.checkpoints.architecture import backbone_of, task_of
from cspdarknet.checkpoints.readers import hdf5, safetensors, torch, yolox
from cspdarknet.checkpoints.targets import collect


def write_weights_h5(model: Any, path: Path, dtype: str | None = None) -> None:
    """Write a `.weights.h5` file, without the optimizer state that Keras adds to it.

    Args:
        model: the model.
        path: the file, whose name ends in `.weights.h5`.
        dtype: dtype of the stored weights, such as `"float16"`; `None` for that of the variables.

    Raises:
        ValueError: if a weight is too large for the dtype, or not finite.
    """
    weights_only = keras.Model(model.inputs, model.outputs)
    if dtype is None:
        weights_only.save_weights(path)
        return
    with tempfile.TemporaryDirectory() as folder:
        exact = Path(folder) / "exact.weights.h5"
        weights_only.save_weights(exact)
        with h5py.File(exact) as source, h5py.File(path, "w") as target:
            _copy(source, target, np.dtype(dtype))


def _copy(source: h5py.File, target: h5py.File, dtype: Any) -> None:
    def copy(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group):
            target.require_group(name).attrs.update(item.attrs)
        else:
            target.create_dataset(name, data=_cast(name, hdf5.read_dataset(item, name), dtype))

    target.attrs.update(source.attrs)
    source.visititems(copy)


def _cast(name: str, array: np.ndarray, dtype: Any) -> np.ndarray:
    largest = np.abs(array).max(initial=0)
    if not largest <= np.finfo(dtype).max:  # NaN compares as False
        raise ValueError(
            f"The weight {name!r} has a value of {largest}, and {dtype} holds up to "
            f"{np.finfo(dtype).max}: keep the dtype of the variables."
        )
    return array.astype(dtype)


def write_pth(model: Any, path: Path) -> None:
    """Write a state dict of YOLOX, or of its CSPDarknet for a backbone.

    Raises:
        ValueError: if the model is a classifier, or does not pad as YOLOX does.
    """
    if task_of(model) == "classification":
        raise ValueError(
            "A .pth file of YOLOX cannot hold a classifier's head: save `model.backbone` alone, or "
            "the classifier as .safetensors, .keras or a preset folder."
        )
    if backbone_of(model).padding != "symmetric":
        raise ValueError(
            "YOLOX pads symmetrically, so that the weights of a model with padding='same' give "
            "other outputs there: build the model with padding='symmetric'."
        )
    tensors = {}
    prefix = yolox.BACKBONE if task_of(model) == "detection" else ""
    for name, array in collect(yolox.layout(model, prefix)).items():
        tensors[name] = array
        if name.endswith(".running_var"):  # PyTorch expects a counter after it
            counter = name.removesuffix(".running_var") + yolox.COUNTER
            tensors[counter] = np.zeros((), "int64")
    torch.write_torch(path, tensors)


def write_safetensors(model: Any, path: Path) -> None:
    """Write a `.safetensors` file with the variables by path and the config in its metadata."""
    safetensors.write(path, collect(safetensors.layout(model)), model.get_config())


WRITERS: dict[str, Callable[[Any, Path], None]] = {
    ".pth": write_pth,
    ".safetensors": write_safetensors,
    ".h5": write_weights_h5,
    ".keras": lambda model, path: model.save(path),
}
