"""Plots: learning curves, confusion matrices, precision-recall curves."""

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from cspdarknet._extras import require

DPI = 120
LEARNING_RATE = "learning rate at the end of the epoch"
# Titles of the panels of the learning curves; in each, the columns of the history by label.
PANELS = {
    "loss": {"training": "loss", "validation": "val_loss"},
    "loss terms": {
        "boxes": "box_loss",
        "objectness": "objectness_loss",
        "classes": "class_loss",
    },
    "accuracy": {"training": "accuracy", "validation": "val_accuracy"},
    "validation R2": {"R2": "val_r2"},
    "quadratic weighted kappa": {"validation": "val_kappa"},
    "validation mAP": {"mAP": "val_map", "mAP50": "val_map50"},
    LEARNING_RATE: {"": "learning_rate"},  # the last of them
}
# Columns that the best epoch is chosen by; it is marked in their panels.
SCORES = ("val_accuracy", "val_kappa", "val_map", "val_r2")
MAX_PANELS_IN_ROW = 3
MAX_MARKED_EPOCHS = 40  # with more epochs, a marker at each one would hide the curve
MAX_COLORED_CURVES = 10  # more colors than these are hard to tell apart
MAX_CLASS_NAMES, MAX_CLASSES_WITH_COUNTS = 60, 30  # more of them are too small to read


def draw_curves(history: Sequence[Mapping[str, Any]], file: BinaryIO) -> None:
    """Draw the learning curves of a training, with the phases and the best epoch marked.

    Args:
        history: metrics of each epoch: the rows of `metrics.csv`. The columns of `PANELS` that it
            has are drawn.
        file: binary file that the PNG is written to.
    """
    panels = {
        title: {label: column for label, column in curves.items() if column in history[0]}
        for title, curves in PANELS.items()
    }
    # The rate at the ends of phases of one epoch is always that of the end of a schedule.
    if len({row["learning_rate"] for row in history}) == 1:
        del panels[LEARNING_RATE]
    panels = {title: curves for title, curves in panels.items() if curves}
    rows = math.ceil(len(panels) / MAX_PANELS_IN_ROW)
    columns = math.ceil(len(panels) / rows)
    figure = new_figure(3.7 * columns, 3.4 * rows)
    best = max(history, key=lambda row: (row["best"], row["epoch"]))
    for i, (title, curves) in enumerate(panels.items(), 1):
        axes = figure.add_subplot(rows, columns, i)
        for label, column in curves.items():
            evaluated = [row for row in history if row[column] is not None]
            epochs, values = ([row[key] for row in evaluated] for key in ("epoch", column))
            marker = "." if len(history) < MAX_MARKED_EPOCHS else ""
            axes.plot(epochs, values, label=label, marker=marker)
            if column in SCORES and best[column] is not None:
                axes.plot(best["epoch"], best[column], "k*", markersize=9)
        _mark_phases(axes, title, history)
        if len(curves) > 1:
            axes.legend()
    save_png(figure, file)


def draw_confusion(
    counts: np.ndarray, class_names: Sequence[str], has_background: bool, file: BinaryIO
) -> None:
    """Draw a confusion matrix with its counts: what is right in blue, mistakes in red.

    The color is the fraction of the ground-truth class. False positives in the row of the
    background have no such class: their color is the fraction of the detections of their class.

    Args:
        counts: integer array `(classes, classes)`, ground truth in rows; with the background in the
            last row and column, if there is one.
        class_names: names of the classes, without the background.
        has_background: whether the matrix is one of a detector, with the background.
        file: binary file that the PNG is written to.
    """
    classes = len(counts)
    side = min(24.0, 3.4 + 0.45 * classes)
    figure = new_figure(1.15 * side + 1.2, side)  # with two color bars
    axes = figure.subplots()
    fractions = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    if has_background:
        fractions[-1] = counts[-1] / np.maximum(counts.sum(axis=0), 1)
    is_right = np.eye(classes, dtype=bool)
    for shown, colors, title in ((~is_right, "Reds", "mistakes"), (is_right, "Blues", "right")):
        values = np.ma.masked_where(~shown | (counts == 0), fractions)
        image = axes.imshow(values, cmap=colors, vmin=0, vmax=1)
        bar = figure.colorbar(image, ax=axes, shrink=0.7, fraction=0.05, pad=0.04)
        bar.ax.set_title(title, fontsize=10)
    axes.set(xlabel="predicted", ylabel="ground truth")
    columns, rows = list(class_names), list(class_names)
    if has_background:
        columns.append("background\n(missed)")
        rows.append("background\n(false positives)")
        _mark_background(axes, classes)
    if classes <= MAX_CLASS_NAMES:
        axes.set_xticks(range(classes), columns, rotation=90, parse_math=False)
        axes.set_yticks(range(classes), rows, parse_math=False)
    if classes <= MAX_CLASSES_WITH_COUNTS:
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if fractions[row, column] > 0.5 else "black"
            text = str(counts[row, column])
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    save_png(figure, file)


def _mark_background(axes: Any, classes: int) -> None:
    """Set the background apart by lines, and hatch its cell on the diagonal, which has no count."""
    edge = classes - 1.5
    axes.axhline(edge, color="black", linewidth=1)
    axes.axvline(edge, color="black", linewidth=1)
    corner = {"xmin": 1 - 1 / classes, "facecolor": "white", "edgecolor": "gray"}
    axes.axhspan(edge, classes - 0.5, hatch="///", **corner)


def draw_precision_recall(
    precision: np.ndarray, class_names: Sequence[str], file: BinaryIO
) -> None:
    """Draw the precision-recall curve of each class, and their mean.

    Args:
        precision: float array `(recalls, classes)` in 0..1 at evenly spaced recalls from 0 to 1;
            NaN for classes without ground-truth boxes.
        class_names: names of the classes.
        file: binary file that the PNG is written to.
    """
    figure = new_figure(7, 4.6)
    axes = figure.subplots()
    recall = np.linspace(0, 1, len(precision))
    defined = [i for i in range(len(class_names)) if np.isfinite(precision[:, i]).all()]
    colored = len(defined) <= MAX_COLORED_CURVES
    style = {} if colored else {"color": "gray", "linewidth": 0.7, "alpha": 0.5}
    for i in defined:
        # A dollar sign would start a formula.
        label = f"{class_names[i]}: {precision[:, i].mean():.3f}".replace("$", r"\$")
        axes.plot(recall, precision[:, i], label=label if colored else None, **style)
    if len(defined) > 1:
        mean = precision[:, defined].mean(axis=1)
        label = f"mean of {len(defined)} classes: {mean.mean():.3f}"
        axes.plot(recall, mean, "k--", linewidth=2, label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    if defined:
        # Beside the axes, since a curve may pass through any of their corners.
        axes.legend(title="average precision", loc="center left", bbox_to_anchor=(1, 0.5))
    save_png(figure, file)


def new_figure(width: float, height: float) -> Any:
    """Return a Matplotlib figure of a size in inches, which needs no display."""
    module = require("matplotlib.figure", "train", "Drawing plots")
    return module.Figure(figsize=(width, height), dpi=DPI, layout="constrained")


def save_png(figure: Any, file: BinaryIO) -> None:
    """Write a figure as PNG. Characters that the font lacks are drawn as boxes, without a word."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph", UserWarning)
        figure.savefig(file, format="png")


def _mark_phases(axes: Any, title: str, history: Sequence[Mapping[str, Any]]) -> None:
    """Set title, labels and grid, and draw a vertical line between phases."""
    axes.set(title=title, xlabel="epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    for before, row in itertools.pairwise(history):
        if row["phase"] != before["phase"]:
            axes.axvline(row["epoch"] - 0.5, color="gray", linestyle=":", linewidth=1)
