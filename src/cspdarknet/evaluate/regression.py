"""Evaluation of regressors: MAE, RMSE, R2 and rank correlation of each target."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._image_size import ImageSize
from cspdarknet.data.regression.dataset import RegressionDataset
from cspdarknet.evaluate.predictions import predict_dataset

RESAMPLES, PERCENTILES = 1000, (2.5, 97.5)
DIGITS = 7  # of a number in a table, as float32 has


@dataclass(frozen=True)
class TargetMetrics:
    """Metrics of one target, in its units.

    Attributes:
        name: name of the target.
        mae: mean absolute error.
        mae_interval: 95 % confidence interval of the MAE: a bootstrap over the images.
        rmse: root mean squared error.
        r2: coefficient of determination: 1 is perfect, and 0 is as good as the mean of the true
            numbers; `None` where these are all the same.
        spearman: Spearman's rank correlation; `None` where all true or all predicted numbers are
            the same.
    """

    name: str
    mae: float
    mae_interval: tuple[float, float]
    rmse: float
    r2: float | None
    spearman: float | None


@dataclass(frozen=True, eq=False)
class RegressionEvaluation:
    """The predictions of a regressor compared with the numbers of a dataset.

    Attributes:
        dataset: the images that could be read, with their numbers.
        predictions: float64 array `(images, targets)`.
        errors: why the other images could not be read, by path.
    """

    dataset: RegressionDataset
    predictions: np.ndarray
    errors: dict[Path, str]

    @cached_property
    def residuals(self) -> np.ndarray:
        """Predicted minus true numbers, `(images, targets)`."""
        return np.asarray(self.predictions - self.dataset.targets)

    @property
    def mae(self) -> np.ndarray:
        """Mean absolute error of each target, in its units."""
        return np.asarray(np.abs(self.residuals).mean(axis=0))

    @property
    def rmse(self) -> np.ndarray:
        """Root mean squared error of each target, in its units."""
        return np.asarray(np.sqrt((self.residuals**2).mean(axis=0)))

    @property
    def r2(self) -> list[float | None]:
        """Coefficient of determination of each target; `None` where all true numbers are equal."""
        varied = np.ptp(self.dataset.targets, axis=0) > 0
        pairs = zip(self.rmse**2, self.dataset.targets.var(axis=0), varied, strict=True)
        return [float(1 - mse / variance) if defined else None for mse, variance, defined in pairs]

    @property
    def mean_r2(self) -> float | None:
        """Mean of R2 over the targets that have one."""
        defined = [value for value in self.r2 if value is not None]
        return float(np.mean(defined)) if defined else None

    @cached_property
    def targets(self) -> list[TargetMetrics]:
        """Metrics of each target."""
        return [
            TargetMetrics(
                name,
                float(self.mae[i]),
                mean_interval(np.abs(self.residuals[:, i])),
                float(self.rmse[i]),
                self.r2[i],
                rank_correlation(self.dataset.targets[:, i], self.predictions[:, i]),
            )
            for i, name in enumerate(self.dataset.target_names)
        ]

    @cached_property
    def mistakes(self) -> list[int]:
        """Indices of the images, those of the largest error first.

        Errors of several targets are compared in standard deviations of the true numbers.
        """
        std = self.dataset.std
        scaled = np.abs(self.residuals) / np.where(std > 0, std, 1)
        return [int(i) for i in np.argsort(-scaled.max(axis=1), kind="stable")]

    def per_image(self) -> list[dict[str, Any]]:
        """Return the numbers of each image, as rows of a table: names of columns and values."""
        names = self.dataset.target_names
        rows = []
        for i, path in enumerate(self.dataset.paths):
            row: dict[str, Any] = {"file": str(path.absolute())}
            for j, name in enumerate(names):
                row[name] = _short(self.dataset.targets[i, j])
                row[f"predicted_{name}"] = _short(self.predictions[i, j])
                row[f"error_{name}"] = _short(self.residuals[i, j])
            rows.append(row)
        return rows

    def to_json(self) -> dict[str, Any]:
        """Return the metrics as plain JSON types."""
        return {
            "images": len(self.dataset),
            "unreadable": len(self.errors),
            "r2": self.mean_r2,
            "targets": [
                {
                    "name": t.name,
                    "mae": t.mae,
                    "mae_95_percent_interval": list(t.mae_interval),
                    "rmse": t.rmse,
                    "r2": t.r2,
                    "spearman": t.spearman,
                }
                for t in self.targets
            ],
        }


def evaluate_regressor(
    model: Any,
    dataset: RegressionDataset,
    *,
    image_size: ImageSize | None = None,
    batch_size: int | None = None,
    workers: int = 2,
    advance: Callable[[int], object] = int,
) -> RegressionEvaluation:
    """Predict the numbers of the images of a dataset, and compare with the true ones.

    Args:
        model: an `ImageRegressor`, which is run by Keras; anything else that `Predictor` takes,
            such as a run folder or an exported file; or a `Predictor`.
        dataset: the images and their numbers.
        image_size: side in pixels of the center crop; `None` for the model's own, or that of the
            `Predictor`.
        batch_size: batch size; `None` for 32. A `Predictor` has its own.
        workers: number of threads that decode images; a `Predictor` has its own.
        advance: called with the number of images done, for a progress bar.

    Returns:
        A `RegressionEvaluation`. Images that cannot be read are left out, and named in its
        `errors`.

    Raises:
        ValueError: if the model is not a regressor, its targets are not those of the dataset, or
            no image can be read.

    Example:
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> regressor = ImageRegressor.from_preset("csp_darknet_tiny", targets=["depth"])
        >>> dataset = RegressionDataset(("depth",), (Path("sea.png"),), np.array([[4.5]]))
        >>> evaluate_regressor(regressor, dataset, image_size=64).predictions.shape
        (1, 1)
    """
    predictions = predict_dataset(
        model,
        dataset,
        "regression",
        image_size=image_size,
        batch_size=batch_size,
        workers=workers,
        advance=advance,
    )
    numbers = np.array(predictions.results, "float64")
    return RegressionEvaluation(predictions.dataset, numbers, predictions.errors)


def mean_interval(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % confidence interval of a mean: the percentile bootstrap.

    Args:
        values: float array `(images,)`.
        seed: random seed of the resamples.

    Example:
        >>> low, high = mean_interval(np.arange(100.0))
        >>> 43 < low < 45, 54 < high < 56
        (True, True)
    """
    rng, count = np.random.default_rng(seed), len(values)
    means = [values[rng.integers(0, count, count)].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(means, PERCENTILES)
    return float(low), float(high)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Return Spearman's rank correlation; `None` where all values of one array are the same.

    Example:
        >>> rank_correlation(np.array([1, 2, 3]), np.array([10, 100, 1000]))
        1.0
    """
    if np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(_ranks(a), _ranks(b))[0, 1].round(12))


def _ranks(values: np.ndarray) -> np.ndarray:
    """Return the rank of each value; equal values have the mean of their ranks."""
    _, index, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts + 1) / 2)[index])


def _short(number: float) -> float:
    """Return a number without the digits that float32 does not have."""
    return float(f"{number:.{DIGITS}g}")
