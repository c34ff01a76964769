"""The report of a multi-label classifier's evaluation or training."""

from collections.abc import Sequence
from functools import partial
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from cspdarknet._files import OutputFolder
from cspdarknet.evaluate import MultiLabelEvaluation
from cspdarknet.reports.contact_sheet import Tile, draw_contact_sheet, open_or_blank
from cspdarknet.reports.evaluation import TrainingRecord, mistakes_pictures, write_report
from cspdarknet.reports.page import Picture, format_metric, table
from cspdarknet.reports.plots import new_figure, save_png

AP_BARS = "average_precision.png"
ABOUT_BARS = "<p>Average precision of each class; the dashed line is the mean.</p>"
ABOUT_PREDICTIONS = (
    "the classes of each image, the predicted ones, those that are missed, and those that are "
    "wrong, each separated by semicolons."
)
TILE_SIDE, COLUMNS, MAX_TILES = 170, 6, 24
SHOWN_CLASSES = 3  # in a caption
MAX_BARS = 60  # more of them are too small to read


def write_multi_label_report(
    folder: OutputFolder,
    evaluation: MultiLabelEvaluation,
    title: str,
    training: TrainingRecord | None = None,
) -> None:
    """Write metrics, pictures and an HTML page about a multi-label classifier.

    Args:
        folder: folder that the files are written to.
        evaluation: the evaluation of the classifier.
        title: title of the page.
        training: the training that the classifier comes from, to be shown too.
    """
    known = [(c.name, c.ap) for c in evaluation.classes if c.ap is not None]
    bars = partial(draw_bars, [name for name, _ in known], [ap for _, ap in known])
    sheet = draw_wrong_labels(evaluation)
    pictures = [
        *([Picture(AP_BARS, "Average precision", bars, ABOUT_BARS)] if known else []),
        *mistakes_pictures("Images with missed or wrong classes, the largest errors first", sheet),
    ]
    predictions = evaluation.per_image(), ABOUT_PREDICTIONS
    write_report(folder, title, evaluation, _summary(evaluation), pictures, *predictions, training)


def draw_bars(class_names: Sequence[str], values: Sequence[float], file: BinaryIO) -> None:
    """Draw a bar for each class, the lowest one at the bottom, and the mean of all.

    Args:
        class_names: names of the classes.
        values: a number in 0..1 for each.
        file: binary file that the PNG is written to.
    """
    order = np.argsort(values, kind="stable")
    shown = order[:MAX_BARS]
    figure = new_figure(7, 1.2 + 0.26 * len(shown))
    axes = figure.subplots()
    positions = range(len(shown))
    bars = axes.barh(positions, [values[i] for i in shown], color="tab:blue")
    axes.bar_label(bars, fmt="%.2f", padding=3, fontsize=8)
    axes.set_yticks(positions, [class_names[i] for i in shown], parse_math=False)
    axes.axvline(float(np.mean(values)), color="black", linestyle="--", linewidth=1)
    lowest = f"the lowest {MAX_BARS} of {len(order)} classes" if len(shown) < len(order) else ""
    axes.set(xlim=(0, 1.08), xlabel="average precision", title=lowest)
    save_png(figure, file)


def draw_wrong_labels(
    evaluation: MultiLabelEvaluation, max_tiles: int = MAX_TILES
) -> Image.Image | None:
    """Draw the images with the largest errors, with their missed and wrong classes below each.

    Args:
        evaluation: the evaluation of a multi-label classifier.
        max_tiles: maximum number of images.

    Returns:
        A Pillow image, or `None` if the classes of all images are predicted right.
    """
    tiles = [_tile(evaluation, index) for index in evaluation.mistakes[:max_tiles]]
    return draw_contact_sheet(tiles, TILE_SIDE, COLUMNS)


def _tile(evaluation: MultiLabelEvaluation, index: int) -> Tile:
    path, square = evaluation.dataset.paths[index], (TILE_SIDE, TILE_SIDE)
    labels, predicted = evaluation.dataset.labels[index], evaluation.predicted[index]
    image = ImageOps.pad(open_or_blank(path, 2 * TILE_SIDE, square), square, color="white")
    caption = (
        *_errors(evaluation, index, "missed", labels & ~predicted),
        *_errors(evaluation, index, "wrong", predicted & ~labels),
        (path.name, "gray"),
    )
    return Tile(image, caption)


def _errors(
    evaluation: MultiLabelEvaluation, index: int, title: str, is_error: np.ndarray
) -> list[tuple[str, str]]:
    """Return the line of a caption with the classes that are missed or wrong, if there are any."""
    probabilities = evaluation.probabilities[index]
    errors = np.abs(evaluation.dataset.labels[index] - probabilities)
    worst = [i for i in np.argsort(-errors, kind="stable") if is_error[i]]
    names = evaluation.dataset.class_names
    shown = ", ".join(f"{names[i]} {probabilities[i]:.0%}" for i in worst[:SHOWN_CLASSES])
    more = ", ..." if len(worst) > SHOWN_CLASSES else ""
    return [(f"{title}: {shown}{more}", "firebrick")] if worst else []


def _summary(evaluation: MultiLabelEvaluation) -> str:
    header = ("class", "images", "AP", "threshold", "precision", "recall", "F1")
    rows = [
        (
            *(c.name, c.images, format_metric(c.ap), f"{c.threshold:g}"),
            *map(format_metric, (c.precision, c.recall, c.f1)),
        )
        for c in evaluation.classes
    ]
    metrics = (
        f"mean average precision (mAP) <b>{format_metric(evaluation.map)}</b> on "
        f"{len(evaluation.dataset)} images",
        f"micro F1 {format_metric(evaluation.micro_f1)}",
        f"macro F1 {format_metric(evaluation.macro_f1)}",
        f"all classes right in {evaluation.exact_match:.2%} of the images",
    )
    return f"<p>{'; '.join(metrics)}</p>{table(header, rows)}"
