"""Plots: learning curves and confusion matrices."""

import itertools
from collections.abc import Sequence
from typing import Any, BinaryIO

import numpy as np

from cspdarknet._extras import require

DPI = 120


def _figure(width: float, height: float) -> tuple[Any, Any]:
    """Return a figure that needs no screen, and its class' module."""
    module = require("matplotlib.figure", "train", "Drawing plots")
    return module.Figure(figsize=(width, height), dpi=DPI, layout="constrained"), module


def draw_curves(history: Sequence[dict[str, Any]], file: BinaryIO) -> None:
    """Draw loss, accuracy and learning rate over the epochs, with the stages marked.

    Args:
        history: the figures of each epoch, as in `metrics.csv`.
        file: where the PNG goes.
    """
    figure, _ = _figure(11, 3.6)
    epochs = [row["epoch"] for row in history]
    panels = (
        ("loss", {"training": "loss", "validation": "val_loss"}),
        ("accuracy", {"training": "accuracy", "validation": "val_accuracy"}),
        ("learning rate at the end of the epoch", {"": "learning_rate"}),
    )
    for axes, (title, curves) in zip(figure.subplots(1, 3), panels, strict=True):
        for label, key in curves.items():
            marker = "." if len(history) < 40 else ""
            axes.plot(epochs, [row[key] for row in history], label=label, marker=marker)
        axes.set(title=title, xlabel="epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        for before, row in itertools.pairwise(history):
            if row["stage"] != before["stage"]:
                axes.axvline(row["epoch"] - 0.5, color="gray", linestyle=":", linewidth=1)
        if len(curves) > 1:
            axes.legend()
    best = max(range(len(history)), key=lambda i: (history[i]["best"], i))
    figure.axes[1].plot(epochs[best], history[best]["val_accuracy"], "k*", markersize=9)
    figure.savefig(file, format="png")


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
            colour = "white" if shares[row, column] > 0.5 else "black"
            text = str(counts[row, column])
            axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=8)
    figure.savefig(file, format="png")
