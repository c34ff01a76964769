"""The state of an interrupted training: weights, optimizer, averages, random states and history."""

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cspdarknet._files import OutputFolder
from cspdarknet.train.averages import WeightAverages

STATE = "state.npz"
HISTORY = "history"
AVERAGES = "averages/"


def save_state(
    run: OutputFolder,
    model: keras.Model,
    averages: WeightAverages,
    history: list[dict[str, Any]],
) -> None:
    """Write the state of a training into its run folder, as one file.

    Args:
        run: the run folder.
        model: the compiled model that is trained.
        averages: the averages of its weights.
        history: metrics of all epochs so far.
    """
    arrays = {f"model/{i}": _to_numpy(v) for i, v in enumerate(_variables(model))}
    arrays |= {f"optimizer/{i}": _to_numpy(v) for i, v in enumerate(model.optimizer.variables)}
    arrays |= {f"{AVERAGES}{name}": value for name, value in averages.to_arrays().items()}
    arrays[HISTORY] = np.frombuffer(json.dumps(history).encode(), "uint8")
    run.write(STATE, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


class State:
    """A state that `save_state` wrote.

    Args:
        path: the file.

    Attributes:
        history: metrics of the finished epochs.

    Raises:
        ValueError: if the file is damaged.
    """

    def __init__(self, path: Path) -> None:
        try:
            with np.load(path, allow_pickle=False) as file:
                self._arrays = {name: file[name] for name in file.files}
            self.history: list[dict[str, Any]] = json.loads(self._arrays[HISTORY].tobytes())
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path} is damaged ({error}): train into a new folder.") from error

    def restore_model(self, model: keras.Model, averages: WeightAverages) -> None:
        """Restore weights and random states of the model, and the averages of its weights."""
        self._assign("model", _variables(model))
        stored = {k: v for k, v in self._arrays.items() if k.startswith(AVERAGES)}
        averages.restore({name.removeprefix(AVERAGES): v for name, v in stored.items()})

    def restore_optimizer(self, model: keras.Model) -> None:
        """Restore the optimizer of a compiled model, for phases that had begun."""
        model.optimizer.build(model.trainable_variables)
        self._assign("optimizer", model.optimizer.variables)

    def _assign(self, group: str, variables: list[Any]) -> None:
        for i, variable in enumerate(variables):
            variable.assign(self._arrays[f"{group}/{i}"])


def _variables(model: keras.Model) -> list[Any]:
    """Return the weights and the states of random layers, without the variables of metrics."""
    metrics = {id(v) for metric in model.metrics for v in metric.variables}
    return [v for v in model.variables if id(v) not in metrics]


def _to_numpy(value: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(value))
