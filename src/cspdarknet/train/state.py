"""Everything that a training needs to go on where it stopped."""

import json
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cspdarknet.train.ema import ExponentialMovingAverage
from cspdarknet.train.run_folder import STATE, RunFolder

HISTORY = "history"


def save_state(
    run: RunFolder,
    model: keras.Model,
    average: ExponentialMovingAverage | None,
    history: list[dict[str, Any]],
) -> None:
    """Write weights, random states, optimizer, average and history, as one file."""
    arrays = {f"model/{i}": _numpy(v) for i, v in enumerate(_variables(model))}
    arrays |= {f"optimizer/{i}": _numpy(v) for i, v in enumerate(model.optimizer.variables)}
    if average is not None:
        arrays |= {f"average/{i}": _numpy(v) for i, v in enumerate(average.values)}
        arrays["average/updates"] = np.array(average.updates)
    arrays[HISTORY] = np.frombuffer(json.dumps(history).encode(), "uint8")
    run.write(STATE, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]


class State:
    """A state that was saved: `history`, and what `restore` gives back.

    Args:
        path: the file.

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

    def restore_model(self, model: keras.Model, average: ExponentialMovingAverage | None) -> None:
        """Give the model and the average their numbers back."""
        self._fill("model", _variables(model))
        if average is not None:
            average.values = [
                keras.ops.convert_to_tensor(self._arrays[f"average/{i}"], value.dtype)
                for i, value in enumerate(average.values)
            ]
            average.updates = int(self._arrays["average/updates"])

    def restore_optimizer(self, model: keras.Model) -> None:
        """Give the optimizer of a stage that had begun its numbers back."""
        model.optimizer.build(model.trainable_variables)
        self._fill("optimizer", model.optimizer.variables)

    def _fill(self, group: str, variables: list[Any]) -> None:
        for i, variable in enumerate(variables):
            variable.assign(self._arrays[f"{group}/{i}"])


def _variables(model: keras.Model) -> list[Any]:
    """Weights and the states of random layers, without the metrics'."""
    metrics = {id(v) for metric in model.metrics for v in metric.variables}
    return [v for v in model.variables if id(v) not in metrics]


def _numpy(value: Any) -> np.ndarray:
    return np.array(keras.ops.convert_to_numpy(value))
