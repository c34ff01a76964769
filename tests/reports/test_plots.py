"""Plots of learning curves, confusion matrices and precision-recall curves."""

import io

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("matplotlib", reason="plots need Matplotlib")
from cspdarknet.reports import plots
from cspdarknet.reports.plots import draw_confusion, draw_curves, draw_precision_recall

pytestmark = pytest.mark.one_backend


def drawn(function, *arguments):
    file = io.BytesIO()
    function(*arguments, file)
    return Image.open(file)


def test_curves_are_those_whose_columns_are_there(history):
    wide = [{**row, "accuracy": 0.5, "val_accuracy": 0.4} for row in history]
    narrow = [{**row, "val_map": None} for row in history]
    for row in narrow:
        del row["val_map"], row["val_map50"]
    three, four, five = (drawn(draw_curves, rows) for rows in (narrow, history, wide))
    assert three.width == five.width == pytest.approx(four.width * 3 / 2, rel=0.01)
    assert three.height == four.height / 2 == five.height / 2


def test_a_constant_learning_rate_has_no_panel(history):
    constant = [{**row, "learning_rate": 0.0} for row in history]
    with_panel, without = (drawn(draw_curves, rows) for rows in (history, constant))
    assert with_panel.height == 2 * without.height  # four panels in two rows, three in one


def test_a_line_is_drawn_where_a_phase_begins(history):
    one_phase = [{**row, "phase": 1} for row in history]
    with_line, without = (np.asarray(drawn(draw_curves, h)) for h in (history, one_phase))
    assert (with_line != without).any()


def test_confusion_matrices_with_odd_names_and_empty_classes(monkeypatch):
    monkeypatch.setattr(plots, "MAX_CLASSES_WITH_COUNTS", 2)
    monkeypatch.setattr(plots, "MAX_CLASS_NAMES", 3)
    for classes in (2, 3, 4):
        counts = np.eye(classes, dtype=int)
        counts[0] = 0
        names = ["$a$", "b_{", *map(str, range(classes - 2))]
        assert drawn(draw_confusion, counts, names, False).width > 300


def test_only_what_is_right_is_blue_in_a_confusion_matrix():
    """The background of a detector has a row of false positives and a column of missed boxes."""

    def colors(counts):
        pixels = np.asarray(drawn(draw_confusion, np.array(counts), ["a"], True).convert("RGB"))
        left = pixels[:, : pixels.shape[1] * 2 // 3].astype(int)  # without the color bars
        strong = left[np.ptp(left, axis=2) > 60]
        return set(strong.argmax(axis=1).tolist())

    red, blue = 0, 2
    assert colors([[5, 0], [0, 0]]) == {blue}
    assert colors([[0, 5], [0, 0]]) == colors([[0, 0], [5, 0]]) == {red}
    assert colors([[0, 0], [0, 0]]) == set()


def test_precision_recall_of_few_many_and_no_classes():
    precision = np.linspace(1, 0, 101)[:, None].repeat(12, axis=1)
    precision[:, 1] = np.nan
    names = [f"${i}$" for i in range(12)]
    for classes in (1, 3, 12):
        assert drawn(draw_precision_recall, precision[:, :classes], names[:classes]).width > 300
    assert drawn(draw_precision_recall, precision[:, 1:2], ["a"]).width > 300
