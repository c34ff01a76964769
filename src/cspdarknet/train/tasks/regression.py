"""The training of image regressors."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from cspdarknet.data import RegressionDataset, RegressionSource, load_regression_dataset
from cspdarknet.data.regression.find import check_range, check_varied
from cspdarknet.evaluate import RegressionEvaluation, evaluate_regressor
from cspdarknet.models import ImageRegressor
from cspdarknet.presets.sources import locate
from cspdarknet.reports import write_regression_report
from cspdarknet.train.recipe import Phase, RegressionRecipe
from cspdarknet.train.tasks.task import Row, Task


@dataclass(frozen=True)
class RegressionTask(Task):
    """Image regression.

    Attributes:
        columns: names of the columns of the targets; `None` for all columns of numbers.
        target_names: names of the targets, after `fitted`.
        mean: mean of each target in the training images, after `fitted`.
        std: standard deviation of each target in the training images, after `fitted`.
    """

    recipe: RegressionRecipe
    columns: Sequence[str] | None = None
    target_names: tuple[str, ...] = ()
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    name = "regression"
    metrics = ("loss",)
    shown_metrics = ("val_loss", "val_r2")
    score = "val_r2"
    model_class = ImageRegressor
    source_class = RegressionSource
    loader = staticmethod(load_regression_dataset)
    evaluate = staticmethod(evaluate_regressor)
    write_report = staticmethod(write_regression_report)

    @property
    def validation_metrics(self) -> tuple[str, ...]:  # type: ignore[override]
        """Loss, mean R2, and MAE, RMSE and R2 of each target."""
        kinds = ("mae", "rmse", "r2")
        each = (f"val_{kind}_{name}" for name in map(_column, self.target_names) for kind in kinds)
        return (*self.shown_metrics, *each)

    def _data_arguments(self) -> dict[str, Any]:
        return {"targets": self.columns}

    def check_data(self, dataset: RegressionDataset) -> None:
        """Check that each target varies, by more than the digits of float32."""
        check_varied("readable training images", dataset)
        check_range(dataset)

    def fitted(self, dataset: RegressionDataset) -> Self:
        """Return the task with mean and standard deviation of the targets."""
        mean, std = tuple(dataset.mean.tolist()), tuple(dataset.std.tolist())
        return replace(self, target_names=dataset.target_names, mean=mean, std=std)

    def build_model(
        self, preset: str | Path, load_weights: bool | None, class_names: tuple[str, ...]
    ) -> keras.Model:
        """Return the model to train. A regressor of the same targets keeps its predictions."""
        model: Any = super().build_model(preset, load_weights, class_names)
        config = locate(preset).config
        head = {} if config is None or config.head is None else config.head
        if load_weights is not False and head.get("targets") == list(class_names):
            count = len(class_names)
            restandardize(
                model, head.get("mean") or [0.0] * count, head.get("std") or [1.0] * count
            )
        return model

    def _output_arguments(self, names: tuple[str, ...]) -> dict[str, Any]:
        return {"targets": names, "mean": self.mean, "std": self.std}

    def _model_arguments(self) -> dict[str, Any]:
        return {"dropout": self.recipe.dropout}

    def _source_arguments(self, _: RegressionDataset) -> dict[str, Any]:
        return {}

    def compile(self, model: keras.Model, optimizer: Any) -> None:
        """Compile the model with the loss of standardized errors."""
        model.compile(optimizer, StandardizedLoss(model.std, self.recipe.loss))

    def begin_phase(self, model: keras.Model, phase: Phase) -> None:
        """Do nothing: the loss is the same in all phases."""

    def validation_row(self, evaluation: RegressionEvaluation) -> Row:
        """Return the loss, and MAE, RMSE and R2 of each target."""
        errors = evaluation.residuals / np.array(self.std)
        row: Row = {
            "val_loss": float(elementwise_loss(errors, self.recipe.loss).mean()),
            "val_r2": evaluation.mean_r2 or 0.0,
        }
        columns = zip(
            map(_column, self.target_names),
            evaluation.mae,
            evaluation.rmse,
            evaluation.r2,
            strict=True,
        )
        for name, mae, rmse, r2 in columns:
            row |= {f"val_mae_{name}": float(mae), f"val_rmse_{name}": float(rmse)}
            row[f"val_r2_{name}"] = r2
        return row

    def tie_break(self, row: Row) -> float:
        """Return the negative loss."""
        return -float(row["val_loss"])


class StandardizedLoss(keras.losses.Loss):
    """The loss of errors in standard deviations of each target.

    Args:
        std: standard deviation of each target.
        kind: `"huber"`, which grows linearly beyond one standard deviation; or `"mse"`.
    """

    def __init__(self, std: Sequence[float], kind: str) -> None:
        super().__init__(name="standardized_loss")
        self.std, self.kind = tuple(std), kind

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the mean over the targets, for each image."""
        errors = (y_pred - ops.cast(y_true, y_pred.dtype)) / ops.cast(self.std, y_pred.dtype)
        return ops.mean(elementwise_loss(errors, self.kind), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Return the constructor arguments."""
        return {"std": list(self.std), "kind": self.kind}


def elementwise_loss(errors: Any, kind: str) -> Any:
    """Return the loss of each standardized error, of a tensor or an array.

    Example:
        >>> elementwise_loss(np.array([0.5, 3.0]), "huber")
        array([0.125, 2.5  ])
    """
    square = 0.5 * errors**2
    if kind == "mse":
        return 2 * square
    size = abs(errors)
    where = np.where if isinstance(errors, np.ndarray) else ops.where
    return where(size <= 1, square, size - 0.5)


def _column(name: str) -> str:
    """Return the name of a target as trackers of experiments take it."""
    return re.sub(r"[^\w .:/-]", "_", name)


def restandardize(model: ImageRegressor, mean: Sequence[float], std: Sequence[float]) -> None:
    """Adapt a head that was trained with other means and standard deviations to the model's.

    The outputs in the units of the targets stay as they were.
    """
    layer = model.get_layer("predictions")
    kernel, bias = (np.asarray(array, "float64") for array in layer.get_weights())
    old_mean, old_std, new_mean, new_std = map(np.array, (mean, std, model.mean, model.std))
    bias = (bias * old_std + old_mean - new_mean) / new_std
    layer.set_weights([kernel * old_std / new_std, bias])
