"""Plots: learning curves, confusion matrices, precision over recall."""

import itertools
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from cspdarknet._extras import require

DPI = 120
# What is drawn of a training: titles, and in each panel the labels and columns of its curves.
PANELS = {
    "loss": {"training": "loss", "validation": "val_loss"},
    "parts of the loss": {
        "boxes": "box_loss",
        "objectness": "objectness_loss",
        "classes": "class_loss",
    },
    "accuracy": {"training": "accuracy", "validation": "val_accuracy"},
    "average precision": {"IoU 0.5 to 0.95": "val_map", "IoU 0.5": "val_map50"},
    "learning rate at the end of the epoch": {"": "learning_rate"},
}
# The columns that tell which epoch is the best.
RANKED = ("val_accuracy", "val_map")
MOST_CURVES = 10  # more colors than that are not told apart


def _figure(width: float, height: float) -> tuple[Any, Any]:
    """Return a figure that needs no screen, and its class' module."""
    module = require("matplotlib.figure", "train", "Drawing plots")
    return module.Figure(figsize=(width, height), dpi=DPI, layout="constrained"), module


def draw_curves(history: Sequence[dict[str, Any]], file: BinaryIO) -> None:
    """Draw the figures of a training over the epochs, with stages and the best epoch marked.

    Args:
        history: the figures of each epoch, as in `metrics.csv`; `PANELS` says which are drawn,
            those that are there.
        file: where the PNG goes.
    """
    panels = {
        title: {label: key for label, key in curves.items() if key in history[0]}
        for title, curves in PANELS.items()
    }
    panels = {title: curves for title, curves in panels.items() if curves}
    figure, _ = _figure(3.7 * len(panels), 3.6)
    best = max(history, key=lambda row: (row["best"], row["epoch"]))
    for axes, (title, curves) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
    ):
        for label, key in curves.items():
            known = [row for row in history if row[key] is not None]
            values = [row[key] for row in known]
            marker = "." if len(history) < 40 else ""
            axes.plot([row["epoch"] for row in known], values, label=label, marker=marker)
            if key in RANKED and best[key] is not None:
                axes.plot(best["epoch"], best[key], "k*", markersize=9)
        _mark_epochs(axes, title, history)
        if len(curves) > 1:
            axes.legend()
    figure.savefig(file, format="png")


def _mark_epochs(axes: Any, title: str, history: Sequence[dict[str, Any]]) -> None:
    axes.set(title=title, xlabel="epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(alpha=0.3)
    for before, row in itertools.pairwise(history):
        if row["stage"] != before["stage"]:
            axes.axvline(row["epoch"] - 0.5, color="gray", linestyle=":", linewidth=1)


def draw_confusion(counts: np.ndarray, class_names: Sequence[str], file: BinaryIO) -> None:
    """Draw a confusion matrix: shares of each true class, with the counts written in.

    Args:
        counts: int array `(classes, classes)`, true classes in rows.
        class_names: names of the classes.
        file: where the PNG goes.
    """
    classes = len(class_names)
    side = min(24.0, 3 + 0.45 * classes)
    figure, _ = _figure(side + 0.8, side)
    axes = figure.subplots()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.8, label="share of the true class")
    axes.set(xlabel="predicted", ylabel="true")
    if classes <= 60:  # more names than that cannot be read
        axes.set_xticks(range(classes), class_names, rotation=90, parse_math=False)
        axes.set_yticks(range(classes), class_names, parse_math=False)
    if classes <= 30:
        for row, column in zip(*np.nonzero(counts), strict=True):
            color = "white" if shares[row, column] > 0.5 else "black"
            text = str(counts[row, column])
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=8)
    figure.savefig(file, format="png")


def draw_precision_recall(
    precision: np.ndarray, class_names: Sequence[str], file: BinaryIO
) -> None:
    """Draw precision over recall of each class, and their mean.

    Args:
        precision: float array `(recalls, classes)` in 0..1 at evenly spaced recalls from 0 to 1;
            NaN for classes without a box.
        class_names: names of the classes.
        file: where the PNG goes.
    """
    figure, _ = _figure(7, 4.6)
    axes = figure.subplots()
    recall = np.linspace(0, 1, len(precision))
    known = [i for i in range(len(class_names)) if np.isfinite(precision[:, i]).all()]
    few = len(known) <= MOST_CURVES
    style = {} if few else {"color": "gray", "linewidth": 0.7, "alpha": 0.5}
    for i in known:
        label = f"{class_names[i]}: {precision[:, i].mean():.3f}".replace("$", r"\$")
        axes.plot(recall, precision[:, i], label=label if few else None, **style)
    if len(known) > 1:
        mean = precision[:, known].mean(axis=1)
        label = f"mean of {len(known)} classes: {mean.mean():.3f}"
        axes.plot(recall, mean, "k--", linewidth=2, label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    if known:
        # Beside the curves, which may go through any corner.
        axes.legend(title="average precision", loc="center left", bbox_to_anchor=(1, 0.5))
    figure.savefig(file, format="png")
