"""Calibration in the report of a classifier: the reliability diagram and its metrics."""

from collections.abc import Sequence
from functools import partial
from typing import Any, BinaryIO

import numpy as np

from cspdarknet.evaluate import Calibration, CalibrationMetrics, ReliabilityBin
from cspdarknet.reports.page import Picture, format_metric, table
from cspdarknet.reports.plots import new_figure, save_png

RELIABILITY = "reliability.png"
NO_TEMPERATURE = (
    "No temperature from 0.001 to 1000 is best for these images: with too few mistakes it would be "
    "0, and with probabilities no better than chance infinite."
)


def calibration_picture(calibration: Calibration) -> Picture:
    """Return the reliability diagram before and after calibration, with the metrics as caption."""
    rows = calibration_rows(calibration)
    temperature = calibration.temperature
    after = [] if temperature is None else [f"with temperature {temperature:.3f}"]
    about = (
        "Bars: accuracy of the images by confidence, which is on the dashed line if the "
        "probabilities are right. Gray: fraction of the images."
    )
    note = NO_TEMPERATURE if temperature is None else ""
    caption = f"{table(('', 'as it is', *after), rows)}<p>{note} {about}</p>"
    return Picture(RELIABILITY, "Calibration", partial(draw_reliability, calibration), caption)


def calibration_rows(calibration: Calibration) -> list[tuple[str, ...]]:
    """Return name and values of each metric, before and (if there is a temperature) after."""
    columns = _columns(calibration)
    return [
        ("negative log-likelihood", *(format_metric(c.nll) for c in columns)),
        ("expected calibration error (ECE)", *(f"{c.ece:.2%}" for c in columns)),
        ("ECE of bins of equal size", *(f"{c.adaptive_ece:.2%}" for c in columns)),
    ]


def draw_reliability(calibration: Calibration, file: BinaryIO) -> None:
    """Draw accuracy over confidence, before and (if there is a temperature) after calibration.

    Args:
        calibration: the calibration.
        file: binary file that the PNG is written to.
    """
    columns = _columns(calibration)
    titles = ("as it is", f"with temperature {calibration.temperature or 1:.3f}")
    figure = new_figure(4.2 * len(columns) + 0.4, 4.2)
    panels = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
    for axes, metrics, title in zip(panels, columns, titles, strict=False):
        _draw_bins(axes, metrics.bins)
        axes.set(title=f"{title}: ECE {metrics.ece:.1%}", xlabel="confidence")
    panels[0].set_ylabel("accuracy")
    save_png(figure, file)


def _columns(calibration: Calibration) -> list[CalibrationMetrics]:
    if calibration.temperature is None:
        return [calibration.before]
    return [calibration.before, calibration.after]


def _draw_bins(axes: Any, bins: Sequence[ReliabilityBin]) -> None:
    """Draw the accuracy of each bin as a bar, and a mark at its mean confidence on the diagonal."""
    edges = np.linspace(0, 1, len(bins) + 1)
    images = sum(b.images for b in bins)
    fractions = [b.images / images for b in bins]
    known = [i for i, b in enumerate(bins) if b.images]
    confidence = [bins[i].confidence for i in known]
    accuracy = [bins[i].accuracy for i in known]
    bar = {"width": 1 / len(bins), "align": "edge"}
    axes.bar(edges[known], accuracy, color="tab:blue", edgecolor="white", **bar)
    axes.bar(edges[:-1], fractions, color="black", alpha=0.25, **bar)
    axes.vlines(confidence, accuracy, confidence, color="firebrick", linewidth=2)
    axes.plot([0, 1], [0, 1], "k--", linewidth=1)
    axes.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    axes.grid(alpha=0.3)
