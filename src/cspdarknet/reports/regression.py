"""The report of a regressor's evaluation or training."""

from collections.abc import Callable
from functools import partial
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, ImageOps

from cspdarknet._files import OutputFolder
from cspdarknet.evaluate import RegressionEvaluation
from cspdarknet.reports.contact_sheet import Tile, draw_contact_sheet, open_or_blank
from cspdarknet.reports.evaluation import TrainingRecord, mistakes_pictures, write_report
from cspdarknet.reports.page import Picture, format_metric, table
from cspdarknet.reports.plots import new_figure, save_png

SCATTER, RESIDUALS = "predicted.png", "residuals.png"
ABOUT_PREDICTIONS = "the true and the predicted number of each target, and the error."
ABOUT_SCATTER = "<p>On the dashed line, the predicted number is the true one.</p>"
ABOUT_RESIDUALS = (
    "<p>Predicted minus true numbers, and how many images have each error. A slope means that the "
    "predictions are drawn towards the mean.</p>"
)
MISTAKES_TITLE = "Images of the largest errors"
MAX_TARGETS = 12  # of a picture
COLUMNS_OF_PANELS, PANEL = 3, 3.6  # inches
TILE_SIDE, COLUMNS, MAX_TILES = 170, 6, 24
MAX_CAPTION_TARGETS, MAX_BINS = 3, 30


def write_regression_report(
    folder: OutputFolder,
    evaluation: RegressionEvaluation,
    title: str,
    training: TrainingRecord | None = None,
) -> None:
    """Write metrics, pictures and an HTML page about a regressor.

    Args:
        folder: folder that the files are written to.
        evaluation: the evaluation of the regressor.
        title: title of the page.
        training: the training that the regressor comes from, to be shown too.
    """
    pictures = [
        Picture(SCATTER, "Predicted over true", partial(draw_scatter, evaluation), ABOUT_SCATTER),
        Picture(RESIDUALS, "Errors", partial(draw_residuals, evaluation), ABOUT_RESIDUALS),
        *mistakes_pictures(MISTAKES_TITLE, draw_mistakes(evaluation)),
    ]
    predictions = evaluation.per_image(), ABOUT_PREDICTIONS
    write_report(folder, title, evaluation, _summary(evaluation), pictures, *predictions, training)


def draw_scatter(evaluation: RegressionEvaluation, file: BinaryIO) -> None:
    """Draw the predicted over the true numbers of each target, as PNG."""
    _draw_panels(evaluation, file, _scatter)


def draw_residuals(evaluation: RegressionEvaluation, file: BinaryIO) -> None:
    """Draw the errors over the true numbers, with their histogram, as PNG."""
    _draw_panels(evaluation, file, _residuals)


def draw_mistakes(
    evaluation: RegressionEvaluation, max_tiles: int = MAX_TILES
) -> Image.Image | None:
    """Draw the images of the largest errors, with their numbers below.

    Args:
        evaluation: the evaluation of a regressor.
        max_tiles: maximum number of images.
    """
    tiles = [_tile(evaluation, index) for index in evaluation.mistakes[:max_tiles]]
    return draw_contact_sheet(tiles, TILE_SIDE, COLUMNS)


def _draw_panels(
    evaluation: RegressionEvaluation,
    file: BinaryIO,
    draw: Callable[[Any, np.ndarray, np.ndarray], None],
) -> None:
    names = evaluation.dataset.target_names[:MAX_TARGETS]
    columns = min(len(names), COLUMNS_OF_PANELS)
    rows = -(-len(names) // columns)
    figure = new_figure(PANEL * columns + 0.4, PANEL * rows)
    for i, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, i + 1)
        draw(axes, evaluation.dataset.targets[:, i], evaluation.predictions[:, i])
        axes.set_title(name, parse_math=False)
        axes.grid(alpha=0.3)
    save_png(figure, file)


def _scatter(axes: Any, true: np.ndarray, predicted: np.ndarray) -> None:
    low, high = min(true.min(), predicted.min()), max(true.max(), predicted.max())
    axes.plot([low, high], [low, high], "k--", linewidth=1)
    axes.scatter(true, predicted, s=9, alpha=_opacity(true))
    axes.set(xlabel="true", ylabel="predicted")


def _residuals(axes: Any, true: np.ndarray, predicted: np.ndarray) -> None:
    axes.axhline(0, color="black", linewidth=1)
    axes.scatter(true, predicted - true, s=9, alpha=_opacity(true))
    axes.set(xlabel="true", ylabel="predicted - true")
    counts = axes.twiny()
    bins = int(np.clip(len(true) // 4, 5, MAX_BINS))
    counts.hist(predicted - true, bins=bins, orientation="horizontal", alpha=0.2, color="gray")
    counts.set(xticks=[])
    counts.set_xlim(0, 3 * counts.get_xlim()[1])  # a third of the width


def _opacity(numbers: np.ndarray) -> float:
    return 0.7 if len(numbers) <= 1000 else 0.25


def _tile(evaluation: RegressionEvaluation, index: int) -> Tile:
    dataset, square = evaluation.dataset, (TILE_SIDE, TILE_SIDE)
    image = ImageOps.pad(
        open_or_blank(dataset.paths[index], 2 * TILE_SIDE, square), square, color="white"
    )
    std = np.where(dataset.std > 0, dataset.std, 1)
    worst = np.argsort(-np.abs(evaluation.residuals[index]) / std, kind="stable")
    lines: list[tuple[str, str]] = []
    for i in sorted(worst[:MAX_CAPTION_TARGETS].tolist()):
        true, predicted = dataset.targets[index, i], evaluation.predictions[index, i]
        lines += [
            (f"{dataset.target_names[i]}: {true:.4g}", "black"),
            (f"predicted: {predicted:.4g}", "firebrick"),
        ]
    return Tile(image, [*lines, (dataset.paths[index].name, "gray")])


def _summary(evaluation: RegressionEvaluation) -> str:
    header = ("target", "MAE", "95 % interval of the MAE", "RMSE", "R2", "rank correlation")
    rows = [
        (
            t.name,
            f"{t.mae:.4g}",
            "{:.4g} to {:.4g}".format(*t.mae_interval),
            f"{t.rmse:.4g}",
            format_metric(t.r2),
            format_metric(t.spearman),
        )
        for t in evaluation.targets
    ]
    mean = "" if len(rows) == 1 else f"Mean R2 <b>{format_metric(evaluation.mean_r2)}</b>. "
    return (
        f"<p>{mean}{len(evaluation.dataset)} images. MAE is the mean absolute error, RMSE the root "
        "mean squared error, both in the units of the target; R2 is the explained fraction of the "
        f"variance; the rank correlation is Spearman's.</p>{table(header, rows)}"
    )
