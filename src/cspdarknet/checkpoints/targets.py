"""Mappings from a path in a weight file to the variable of a model that it fills."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cspdarknet.checkpoints.errors import CheckpointError


def _unchanged(array: np.ndarray) -> np.ndarray:
    return array


@dataclass(frozen=True)
class Target:
    """A variable, its shape in the file, and the conversions between the two forms.

    Attributes:
        variable: the Keras variable.
        shape: shape of the array in the file.
        from_file: converts the array of the file to the value of the variable.
        to_file: converts the value of the variable to the array of the file.
    """

    variable: Any
    shape: tuple[int, ...]
    from_file: Callable[[np.ndarray], np.ndarray] = _unchanged
    to_file: Callable[[np.ndarray], np.ndarray] = _unchanged


def target(variable: Any) -> Target:
    """Return the target of a variable that has the same form in the file."""
    return Target(variable, tuple(variable.shape))


def check(file: str, shapes: Mapping[str, tuple[int, ...]], targets: Mapping[str, Target]) -> None:
    """Check that a file holds exactly the weights of a model.

    Args:
        file: name of the file, for error messages.
        shapes: shape of each weight in the file.
        targets: the variables of the model.

    Raises:
        CheckpointError: if a weight is missing, left over, or of another shape.
    """
    missing = [path for path in targets if path not in shapes]
    unused = [path for path in shapes if path not in targets]
    if missing or unused:
        counts = (
            _count(missing, "weights of the model are missing in it"),
            _count(unused, "of its weights are not in the model"),
        )
        raise CheckpointError(
            f"{file} is a file of another architecture: {'; '.join(filter(None, counts))}."
        )
    for path, item in targets.items():
        if shapes[path] != item.shape:
            raise CheckpointError(
                f"{file} is a file of another architecture: {path!r} has the shape "
                f"{shapes[path]}, the model needs {item.shape}."
            )


def _count(paths: list[str], text: str) -> str:
    return f"{len(paths)} {text} (such as {paths[0]!r})" if paths else ""


def read_all(
    file: str, read: Callable[[str], np.ndarray], targets: Mapping[str, Target]
) -> dict[str, np.ndarray]:
    """Read the array of every target, so that nothing can fail after the first assignment.

    Raises:
        CheckpointError: if an array holds NaN or infinite values.
    """
    arrays = {}
    for path in targets:
        arrays[path] = read(path)
        if not _fits(arrays[path], targets[path].variable):
            raise CheckpointError(f"{file}: {path!r} holds NaN or infinite values.")
    return arrays


def _fits(array: np.ndarray, variable: Any) -> bool:
    """Whether all values are finite, in float32 too if the variable has no more."""
    if array.dtype == np.float64 and variable.dtype != "float64":
        largest = np.finfo(np.float32).max
        return bool((np.abs(array) <= largest).all())
    return bool(np.isfinite(array).all())


def assign(arrays: dict[str, np.ndarray], targets: Mapping[str, Target]) -> None:
    """Assign all arrays, and free each after use, so that memory holds no second copy of them."""
    for path, item in targets.items():
        item.variable.assign(item.from_file(arrays.pop(path)))


def collect(targets: Mapping[str, Target]) -> dict[str, np.ndarray]:
    """Return the values of all variables in their file form, as float32."""
    import keras

    return {
        path: item.to_file(keras.ops.convert_to_numpy(item.variable).astype("float32"))
        for path, item in targets.items()
    }
