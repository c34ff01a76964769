"""The report of a detector's training or evaluation: figures, pictures, and a page of them."""

import html
from collections.abc import Sequence
from typing import Any

from cspdarknet.evaluate.average_precision import IOU_50
from cspdarknet.evaluate.boxes import BACKGROUND, DetectionEvaluation
from cspdarknet.reports import page
from cspdarknet.reports.boxes import class_colour, draw_worst
from cspdarknet.reports.page import CONFUSION, CURVES, FIGURES, MISTAKES, figure
from cspdarknet.reports.plots import draw_confusion, draw_curves, draw_precision_recall
from cspdarknet.run_folder import RunFolder

PRECISION_RECALL = "precision_recall.png"


def write_detection_run_report(
    run: RunFolder, found: DetectionEvaluation, history: Sequence[dict[str, Any]]
) -> None:
    """Write figures, pictures and the page about a training.

    Args:
        run: the run folder.
        found: the evaluation of its best model.
        history: the figures of each epoch.
    """
    run.write(CURVES, lambda file: draw_curves(history, file))
    page.write_run_page(run, _sections(run, found))


def write_detection_evaluation(run: RunFolder, found: DetectionEvaluation, title: str) -> None:
    """Write figures, pictures and a page about one evaluation."""
    page.write_page(run, title, [_sections(run, found)])


def _sections(run: RunFolder, found: DetectionEvaluation) -> str:
    run.write_json(FIGURES, found.to_json())
    names = (*found.photos.class_names, BACKGROUND)
    run.write(CONFUSION, lambda file: draw_confusion(found.confusion, names, file))
    text = (
        f"<h2>Evaluation</h2>{_summary(found)}{_table_of_classes(found)}{_curves(run, found)}"
        f"<h2>What is taken for what</h2><img src={CONFUSION} alt='confusion matrix'>"
    )
    text += page.not_readable(found.errors.values())
    sheet = draw_worst(found)
    if sheet is not None:
        run.write(MISTAKES, lambda file: sheet.save(file, format="PNG"))
        text += (
            "<h2>The photos with most mistakes</h2><p>Missed boxes are dashed, false ones have "
            f"a solid line, both in the colour of their class ({_colours(found)}); right ones are "
            "pale and thin.</p>"
            f"<img src={MISTAKES} alt='photos with missed and false boxes'>"
        )
    return text


def _colours(found: DetectionEvaluation) -> str:
    return ", ".join(
        f"<span style='color: rgb{class_colour(i)}'>&#9632;</span> {html.escape(name)}"
        for i, name in enumerate(found.photos.class_names)
    )


def _summary(found: DetectionEvaluation) -> str:
    figures = found.average_precision
    photos, boxes = len(found.photos), int(found.photos.counts.sum())
    if figures.map is None:
        return f"<p>None of the {photos} photos has a box: there is nothing to measure.</p>"
    areas = ", ".join(f"{figure(value)} of {name}" for name, value in figures.map_by_area.items())
    return (
        f"<p>mAP <b>{figure(figures.map)}</b> (mean over overlaps of 0.5 to 0.95), "
        f"{figure(figures.map50)} at an overlap of 0.5, {figure(figures.map75)} at 0.75; {areas} "
        f"boxes (up to 32² and 96² pixels, and above); {photos} photos with {boxes} boxes.</p>"
        f"<p>The score threshold with the best mean F1 is <b>{found.score_threshold:.2f}</b>. "
        "Precision, recall and F1 below are at this threshold.</p>"
    )


def _table_of_classes(found: DetectionEvaluation) -> str:
    header = ("class", "boxes", "AP", "AP50", "found", "false", "precision", "recall", "F1")
    rows = [
        (
            *(c.name, c.boxes, figure(c.ap), figure(c.ap50), c.found, c.false),
            *map(figure, (c.precision, c.recall, c.f1)),
        )
        for c in found.classes
    ]
    return page.table(header, rows)


def _curves(run: RunFolder, found: DetectionEvaluation) -> str:
    if found.average_precision.map is None:
        return ""
    precision = found.average_precision.precision[IOU_50]
    names = found.photos.class_names
    run.write(PRECISION_RECALL, lambda file: draw_precision_recall(precision, names, file))
    return (
        "<h2>Precision over recall, at an overlap of 0.5</h2>"
        f"<img src={PRECISION_RECALL} alt='precision over recall'>"
    )
