"""Write `.weights.h5` files: the weights of a model and nothing else."""

import tempfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from cspdarknet.checkpoints.readers import hdf5


def write(model: Any, path: Path, dtype: str | None = None) -> None:
    """Write a model's weights, without the optimizer's state that Keras adds once it is compiled.

    Args:
        model: the model.
        path: the file, whose name ends in `.weights.h5`.
        dtype: float dtype to store them in, such as `"float16"`; `None` for that of the variables.

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
        with h5py.File(exact) as old, h5py.File(path, "w") as new:
            _copy(old, new, np.dtype(dtype))


def _copy(old: h5py.File, new: h5py.File, dtype: Any) -> None:
    def copy(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group):
            made = new.require_group(name)
            made.attrs.update(item.attrs)
        else:
            new.create_dataset(name, data=_cast(name, hdf5.read(old, name, item), dtype))

    new.attrs.update(old.attrs)
    old.visititems(copy)


def _cast(name: str, array: np.ndarray, dtype: Any) -> np.ndarray:
    largest = np.abs(array).max(initial=0)
    if not largest <= np.finfo(dtype).max:  # NaN compares as False
        raise ValueError(
            f"The weight {name!r} has a value of {largest}, and {dtype} holds up to "
            f"{np.finfo(dtype).max}: keep the dtype of the variables."
        )
    return array.astype(dtype)
