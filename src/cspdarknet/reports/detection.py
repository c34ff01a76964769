"""The report of a detector's evaluation or training."""

import html
from functools import partial

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from cspdarknet._files import OutputFolder
from cspdarknet.evaluate.average_precision import IOU_50
from cspdarknet.evaluate.detection import DetectionEvaluation
from cspdarknet.reports.contact_sheet import Tile, draw_contact_sheet, open_or_blank
from cspdarknet.reports.evaluation import (
    TrainingRecord,
    confusion_picture,
    mistakes_pictures,
    write_report,
)
from cspdarknet.reports.page import Picture, format_metric, table
from cspdarknet.reports.plots import draw_precision_recall
from cspdarknet.score_thresholds import ScoreThreshold
from cspdarknet.visualize import Color, class_color, outline

PRECISION_RECALL = "precision_recall.png"
CONFUSION_CAPTION = (
    "<p>Last column: boxes that no detection matches. Last row: detections that match no box. "
    "Colors: fractions of the boxes of the class, in each row; in the last row, of the detections "
    "of the class.</p>"
)
TILE_SIDE, COLUMNS, MAX_TILES = 400, 3, 12
PALE = (225, 225, 225)
DASH = 7  # pixels


def write_detection_report(
    folder: OutputFolder,
    evaluation: DetectionEvaluation,
    title: str,
    training: TrainingRecord | None = None,
    score_threshold: ScoreThreshold | None = None,
) -> None:
    """Write metrics, pictures and an HTML page about a detector.

    Args:
        folder: folder that the files are written to.
        evaluation: the evaluation of the detector.
        title: title of the page.
        training: the training that the detector comes from, to be shown too.
        score_threshold: those of the detector, at which the objects of each image are counted;
            `None` for the one with the best mean F1.
    """
    class_names = evaluation.dataset.class_names
    caption = (
        "<p>Missed ground truth is dashed, false positives are solid, both in the color of their "
        f"class ({_legend(class_names)}). True positives are pale.</p>"
    )
    pictures = [
        *_precision_recall_pictures(evaluation),
        confusion_picture(
            evaluation.confusion, class_names, CONFUSION_CAPTION, has_background=True
        ),
        *mistakes_pictures("Images with the most mistakes", draw_mistakes(evaluation), caption),
    ]
    given = evaluation.score_threshold if score_threshold is None else score_threshold
    predictions = evaluation.per_image(given), _about_predictions(given, class_names)
    write_report(folder, title, evaluation, _summary(evaluation), pictures, *predictions, training)


def _about_predictions(score_threshold: ScoreThreshold, class_names: tuple[str, ...]) -> str:
    if isinstance(score_threshold, tuple):
        numbers = zip(class_names, score_threshold, strict=True)
        shown = "score thresholds " + ", ".join(f"{name} {number:g}" for name, number in numbers)
    else:
        shown = f"score threshold {score_threshold:g}"
    return (
        "the numbers of ground-truth boxes, detections, matched and missed boxes, and false "
        f"detections in each image, at the {html.escape(shown)}."
    )


def _precision_recall_pictures(evaluation: DetectionEvaluation) -> list[Picture]:
    """Return the picture of the precision-recall curves; none where no image has a box."""
    metrics = evaluation.average_precision
    if metrics.map is None:
        return []
    class_names = evaluation.dataset.class_names
    draw = partial(draw_precision_recall, metrics.precision[IOU_50], class_names)
    return [Picture(PRECISION_RECALL, "Precision over recall at IoU 0.5", draw)]


def draw_mistakes(
    evaluation: DetectionEvaluation, max_tiles: int = MAX_TILES
) -> Image.Image | None:
    """Draw the images with the most mistakes.

    Missed ground-truth boxes are dashed, false positives are solid, true positives are pale.

    Args:
        evaluation: the evaluation of a detector.
        max_tiles: maximum number of images.

    Returns:
        A Pillow image, or `None` if there is no mistake.
    """
    totals = np.array([missed + false for missed, false in evaluation.mistakes])
    worst_first = np.argsort(-totals, kind="stable")[:max_tiles]
    tiles = [_tile(evaluation, int(index)) for index in worst_first if totals[index]]
    return draw_contact_sheet(tiles, TILE_SIDE, COLUMNS)


def _tile(evaluation: DetectionEvaluation, index: int) -> Tile:
    path, (height, width) = evaluation.dataset.paths[index], evaluation.kept[index].image_size
    image = open_or_blank(path, 2 * TILE_SIDE, (width, height))
    image = ImageOps.contain(image, (TILE_SIDE, TILE_SIDE), Image.Resampling.BICUBIC)
    _draw_boxes(image, evaluation, index)
    missed, false = evaluation.mistakes[index]
    boxes = int((~evaluation.dataset.ignored[index]).sum())
    caption = (
        (path.name, "black"),
        (f"{missed} of {boxes} boxes missed, {false} false positives", "firebrick"),
    )
    return Tile(image, caption)


def _draw_boxes(image: Image.Image, evaluation: DetectionEvaluation, index: int) -> None:
    draw, dataset = ImageDraw.Draw(image), evaluation.dataset
    detections, matches = evaluation.kept[index], evaluation.matches[index]
    boxes, labels = dataset.boxes[index], dataset.labels[index]
    scale = np.array(image.size * 2) / np.array(detections.image_size[::-1] * 2)
    for i in np.flatnonzero(matches.is_true_positive):
        outline(draw, detections.xyxy[i] * scale, PALE, 1)
    for i in np.flatnonzero(matches.is_counted & ~matches.is_true_positive):
        outline(draw, detections.xyxy[i] * scale, class_color(int(detections.class_id[i])), 3)
    for i in np.setdiff1d(np.flatnonzero(~dataset.ignored[index]), matches.ground_truth):
        _dashed_outline(draw, boxes[i] * scale, class_color(int(labels[i])), 3)


def _dashed_outline(draw: ImageDraw.ImageDraw, box: np.ndarray, color: Color, width: int) -> None:
    x1, y1, x2, y2 = box.tolist()
    for start in np.arange(x1, x2, 2 * DASH):
        for y in (y1, y2 - 1):
            draw.line((start, y, min(start + DASH, x2), y), fill=color, width=width)
    for start in np.arange(y1, y2, 2 * DASH):
        for x in (x1, x2 - 1):
            draw.line((x, start, x, min(start + DASH, y2)), fill=color, width=width)


def _legend(class_names: tuple[str, ...]) -> str:
    return ", ".join(
        f"<span style='color: rgb{class_color(i)}'>&#9632;</span> {html.escape(name)}"
        for i, name in enumerate(class_names)
    )


def _summary(evaluation: DetectionEvaluation) -> str:
    metrics, dataset = evaluation.average_precision, evaluation.dataset
    images, boxes = len(dataset), int(dataset.counts.sum())
    if metrics.map is None:
        text = f"None of the {images} images has a ground-truth box: mAP is undefined."
        return f"<p>{text}</p>{_class_table(evaluation)}"
    by_area = ", ".join(
        f"{format_metric(value)} for {name}" for name, value in metrics.map_by_area.items()
    )
    return (
        f"<p>mAP <b>{format_metric(metrics.map)}</b> (mean over IoU 0.5 to 0.95), "
        f"mAP50 {format_metric(metrics.map50)}, mAP75 {format_metric(metrics.map75)}; mAP "
        f"{by_area} boxes (areas up to 32², up to 96², and larger); {images} images with {boxes} "
        "boxes.</p>"
        f"<p>The score threshold with the best mean F1 is <b>{evaluation.score_threshold:.2f}</b>. "
        "Precision, recall, F1, confusion matrix and mistakes below are at this threshold.</p>"
        f"{_class_table(evaluation)}{_threshold_table(evaluation)}"
    )


def _class_table(evaluation: DetectionEvaluation) -> str:
    header = (
        *("class", "boxes", "AP", "AP50", "true positives", "false positives"),
        *("precision", "recall", "F1"),
    )
    rows = [
        (
            *(c.name, c.boxes, format_metric(c.ap), format_metric(c.ap50)),
            *(c.true_positives, c.false_positives),
            *map(format_metric, (c.precision, c.recall, c.f1)),
        )
        for c in evaluation.classes
    ]
    return table(header, rows)


def _threshold_table(evaluation: DetectionEvaluation) -> str:
    """Return the proposed score thresholds, with what they give; nothing if there are none."""
    header = ("class", "criterion", "score threshold", "detections", "boxes", "precision", "recall")
    rows = [
        (
            *(c.name, title, f"{c.threshold:g}", c.detections, c.boxes),
            *map(format_metric, (c.precision, c.recall)),
        )
        for criterion, title in (("count", "right count"), ("f1", "best F1"))
        for c in evaluation.thresholds(criterion)
    ]
    text = (
        "A training stores those with the right count in its best model, as the default: as many "
        "detections as there are boxes in these images."
    )
    return f"<h2>Score thresholds</h2><p>{text}</p>{table(header, rows)}" if rows else ""
