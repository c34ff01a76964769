"""What a weight file must hold for a model: for each path, the variable that it fills."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cspdarknet.checkpoints.errors import CheckpointError

Array = np.ndarray


def _unchanged(array: Array) -> Array:
    return array


@dataclass(frozen=True)
class Target:
    """A variable, the shape that its file form has, and the ways between the two forms."""

    variable: Any
    shape: tuple[int, ...]
    from_file: Callable[[Array], Array] = _unchanged
    to_file: Callable[[Array], Array] = _unchanged


def target(variable: Any) -> Target:
    """Return the target of a variable that is stored as it is."""
    return Target(variable, tuple(variable.shape))


def check(file: str, shapes: Mapping[str, tuple[int, ...]], targets: Mapping[str, Target]) -> None:
    """Compare what a file holds with what the model needs, in both directions."""
    missing = [path for path in targets if path not in shapes]
    unused = [path for path in shapes if path not in targets]
    if missing or unused:
        raise CheckpointError(
            f"{file} does not belong to this architecture: "
            f"{_listed(missing, 'weights are missing')}{'; ' if missing and unused else ''}"
            f"{_listed(unused, 'weights have no place in the model')}."
        )
    for path, goal in targets.items():
        if shapes[path] != goal.shape:
            raise CheckpointError(
                f"{file} does not belong to this architecture: {path!r} has the shape "
                f"{shapes[path]}, the model needs {goal.shape}."
            )


def _listed(paths: list[str], what: str) -> str:
    return f"{len(paths)} {what} (such as {paths[0]!r})" if paths else ""


def read_all(
    file: str, read: Callable[[str], Array], targets: Mapping[str, Target]
) -> dict[str, Array]:
    """Read the array of every target, so that nothing can fail after the first assignment."""
    arrays = {}
    for path in targets:
        arrays[path] = read(path)
        if not np.isfinite(arrays[path]).all():
            raise CheckpointError(f"{file}: {path!r} holds NaN or infinite values.")
    return arrays


def assign(arrays: dict[str, Array], targets: Mapping[str, Target]) -> None:
    """Assign all arrays, letting go of each, so that no second copy of the file piles up."""
    for path, goal in targets.items():
        goal.variable.assign(goal.from_file(arrays.pop(path)))


def collect(targets: Mapping[str, Target]) -> dict[str, Array]:
    """Return the variables in their file form, as float32."""
    import keras

    return {
        path: goal.to_file(keras.ops.convert_to_numpy(goal.variable).astype("float32"))
        for path, goal in targets.items()
    }
