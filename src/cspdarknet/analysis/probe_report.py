"""`ProbeReport`: the accuracies of several models' vectors, as rows, files and a plot."""

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, BinaryIO

import numpy as np

from cspdarknet.reports.plots import new_figure, save_png

RESAMPLES = 2000
DECIMALS = 4
SHIFT = 0.05  # of the places of two models on the axis
TITLES = {"knn": "k nearest neighbors", "linear": "linear probe"}


@dataclass(frozen=True)
class ProbeResult:
    """The accuracy of one model's vectors with one method and number of images.

    Attributes:
        model: name of the model.
        method: `"knn"` or `"linear"`.
        shots: number of training images of each class; `None` for all.
        accuracy: fraction of the images that are classified right, the mean of the draws.
        low: lower end of its 95 % confidence interval, by resampling the evaluated images.
        high: upper end.
        deviation: standard deviation of the accuracies of the draws; 0 for all images.
        draws: number of random choices of the training images.
        setting: number of neighbors or scikit-learn's `C`, of the first draw.
        features: number of features.
        embed_seconds: time to embed the images whose vectors were not in the cache.
        fit_seconds: time to fit, choose and classify.
    """

    model: str
    method: str
    shots: int | None
    accuracy: float
    low: float
    high: float
    deviation: float
    draws: int
    setting: float
    features: int
    embed_seconds: float
    fit_seconds: float


@dataclass(frozen=True)
class ProbeReport:
    """The results of `probe`.

    Attributes:
        results: a `ProbeResult` for each model, method and number of images.
        class_names: names of the classes.
        split: the split that was evaluated.
        train_images: number of training images.
        evaluated_images: number of evaluated images.
        errors: why images could not be used, by path.
    """

    results: tuple[ProbeResult, ...]
    class_names: tuple[str, ...]
    split: str
    train_images: int
    evaluated_images: int
    errors: dict[str, str]

    @property
    def best(self) -> ProbeResult:
        """The result of the highest accuracy with all training images."""
        whole = [result for result in self.results if result.shots is None]
        return max(whole, key=lambda result: result.accuracy)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON types."""
        content = asdict(self)
        content["results"] = [_rounded(result) for result in self.results]
        content["class_names"] = list(self.class_names)
        return content

    def to_csv(self) -> str:
        """Return the results as CSV, with a header; `shots` is empty for all images."""
        table = io.StringIO()
        names = [item.name for item in fields(ProbeResult)]
        writer = csv.DictWriter(table, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(_rounded(result) for result in self.results)
        return table.getvalue()

    def draw(self, file: BinaryIO) -> None:
        """Draw the accuracies by number of training images, with their intervals, as PNG.

        Raises:
            ImportError: if Matplotlib is not installed.
        """
        methods = list(dict.fromkeys(result.method for result in self.results))
        models = list(dict.fromkeys(result.model for result in self.results))
        shots = {result.shots for result in self.results}
        order = [*sorted(count for count in shots if count is not None), None]
        figure = new_figure(5.2 * len(methods), 4.2)
        panels = figure.subplots(1, len(methods), squeeze=False, sharey=True)[0]
        for axes, method in zip(panels, methods, strict=True):
            for i, model in enumerate(models):
                shift = SHIFT * (i - (len(models) - 1) / 2)  # so that no bar hides another
                _draw_model(axes, self._of(model, method), order, shift)
            labels = ["all" if count is None else str(count) for count in order]
            axes.set_xticks(range(len(order)), labels)
            axes.set(title=TITLES[method], xlabel="training images per class")
            axes.grid(alpha=0.3)
        panels[0].set_ylabel(f"accuracy ({self.split}, {self.evaluated_images} images)")
        panels[-1].legend(fontsize=8)
        save_png(figure, file)

    def _of(self, model: str, method: str) -> list[ProbeResult]:
        return [item for item in self.results if (item.model, item.method) == (model, method)]


def bootstrap_interval(correct: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Return the 95 % bootstrap confidence interval of a mean, by resampling its values.

    Args:
        correct: float array `(images,)`: for each image how often it was classified right, in 0..1.
        seed: random seed of the resampling.

    Example:
        >>> low, high = bootstrap_interval(np.repeat([0.0, 1.0], [20, 80]))
        >>> round(low, 2), round(high, 2)
        (0.72, 0.88)
    """
    rng, count = np.random.default_rng(seed), len(correct)
    means = [correct[rng.integers(0, count, count)].mean() for _ in range(RESAMPLES)]
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def _rounded(result: ProbeResult) -> dict[str, Any]:
    return {
        name: round(value, DECIMALS) if isinstance(value, float) else value
        for name, value in asdict(result).items()
    }


def _draw_model(
    axes: Any, results: Sequence[ProbeResult], order: Sequence[int | None], shift: float
) -> None:
    places = [order.index(result.shots) + shift for result in results]
    low, middle, high = (
        np.array([getattr(result, name) for result in results])
        for name in ("low", "accuracy", "high")
    )
    bars = np.maximum([middle - low, high - middle], 0)
    label = results[0].model.replace("$", r"\$")
    axes.errorbar(places, middle, bars, marker="o", capsize=3, label=label)
