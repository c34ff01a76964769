"""The report of a detector's training or evaluation: figures, pictures, and a page of them."""

import html
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from cspdarknet.evaluate.average_precision import IOU_50
from cspdarknet.evaluate.detection import BACKGROUND, DetectionEvaluation
from cspdarknet.images import ImageError, open_image
from cspdarknet.reports import page
from cspdarknet.reports.page import CONFUSION, CURVES, FIGURES, MISTAKES, figure
from cspdarknet.reports.plots import draw_confusion, draw_curves, draw_precision_recall
from cspdarknet.train.run_folder import RunFolder
from cspdarknet.visualize import Color, class_color, fit_text, outline

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
            f"a solid line, both in the color of their class ({_colors(found)}); right ones are "
            "pale and thin.</p>"
            f"<img src={MISTAKES} alt='photos with missed and false boxes'>"
        )
    return text


def _colors(found: DetectionEvaluation) -> str:
    return ", ".join(
        f"<span style='color: rgb{class_color(i)}'>&#9632;</span> {html.escape(name)}"
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


TILE, COLUMNS, CAPTION, MARGIN = 400, 3, 42, 10


PALE = (225, 225, 225)


def draw_worst(evaluation: DetectionEvaluation, limit: int = 12) -> Image.Image | None:
    """Draw the photos with the most mistakes.

    Missed boxes are dashed, false detections have a thick line; what is right is pale and thin.

    Args:
        evaluation: detections beside the true boxes.
        limit: how many photos to show.

    Returns:
        A Pillow image, or `None` if there is no mistake.
    """
    totals = np.array([missed + false for missed, false in evaluation.mistakes])
    places = [int(i) for i in np.argsort(-totals, kind="stable")[:limit] if totals[i]]
    if not places:
        return None
    tiles = [_tile(evaluation, place) for place in places]
    rows = [tiles[i : i + COLUMNS] for i in range(0, len(tiles), COLUMNS)]
    heights = [max(tile.height for tile in row) + MARGIN for row in rows]
    width = len(rows[0]) * (TILE + MARGIN) + MARGIN
    sheet = Image.new("RGB", (width, sum(heights) + MARGIN), "white")
    for i, row in enumerate(rows):
        for j, tile in enumerate(row):
            sheet.paste(tile, (MARGIN + j * (TILE + MARGIN), MARGIN + sum(heights[:i])))
    return sheet


def _tile(evaluation: DetectionEvaluation, place: int) -> Image.Image:
    """Draw one photo with its mistakes, and say below how many there are."""
    path = evaluation.photos.paths[place]
    try:
        photo = open_image(path, 2 * TILE)
    except ImageError:  # it could be read before; the caption says enough
        photo = Image.new("RGB", evaluation.detections[place].image_size[::-1], "white")
    photo = ImageOps.contain(photo, (TILE, TILE), Image.Resampling.BICUBIC)
    _draw_mistakes(ImageDraw.Draw(photo), photo.size, evaluation, place)
    tile = Image.new("RGB", (TILE, photo.height + CAPTION), "white")
    tile.paste(photo, ((TILE - photo.width) // 2, 0))
    missed, false = evaluation.mistakes[place]
    boxes = int((~evaluation.photos.ignored[place]).sum())
    lines = ((path.name, "black"), (f"{missed} of {boxes} missed, {false} false", "firebrick"))
    draw, font = ImageDraw.Draw(tile), ImageFont.load_default(size=14)
    for line, (text, color) in enumerate(lines):
        position = (0, photo.height + 2 + 18 * line)
        draw.text(position, fit_text(text, font, TILE), fill=color, font=font)
    return tile


def _draw_mistakes(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], evaluation: DetectionEvaluation, place: int
) -> None:
    found, matched = evaluation.kept[place], evaluation.matches[place]
    boxes, labels = evaluation.photos.boxes[place], evaluation.photos.labels[place]
    scale = np.array(size * 2) / np.array(found.image_size[::-1] * 2)
    for i in np.flatnonzero(matched.right):
        outline(draw, found.boxes[i] * scale, PALE, 1)
    for i in np.flatnonzero(matched.counted & ~matched.right):
        outline(draw, found.boxes[i] * scale, class_color(int(found.classes[i])), 3)
    missed = np.setdiff1d(np.flatnonzero(~evaluation.photos.ignored[place]), matched.truth)
    for i in missed:
        _dashed(draw, boxes[i] * scale, class_color(int(labels[i])), 3)


def _dashed(
    draw: ImageDraw.ImageDraw, box: np.ndarray, color: Color, width: int, dash: int = 7
) -> None:
    x1, y1, x2, y2 = box.tolist()
    for start in np.arange(x1, x2, 2 * dash):
        for y in (y1, y2 - 1):
            draw.line((start, y, min(start + dash, x2), y), fill=color, width=width)
    for start in np.arange(y1, y2, 2 * dash):
        for x in (x1, x2 - 1):
            draw.line((x, start, x, min(start + dash, y2)), fill=color, width=width)
