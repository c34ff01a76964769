"""The report of a classifier's evaluation or training."""

from PIL import Image, ImageOps

from cspdarknet._files import OutputFolder
from cspdarknet.evaluate import (
    ClassificationEvaluation,
    MultiLabelEvaluation,
    OrdinalEvaluation,
)
from cspdarknet.reports.calibration import calibration_picture
from cspdarknet.reports.contact_sheet import Tile, draw_contact_sheet, open_or_blank
from cspdarknet.reports.evaluation import (
    TrainingRecord,
    confusion_picture,
    mistakes_pictures,
    write_report,
)
from cspdarknet.reports.multi_label import write_multi_label_report
from cspdarknet.reports.page import format_metric, table

CONFUSION_CAPTION = "<p>Colors: fractions of the images of the class, in each row.</p>"
ABOUT_PREDICTIONS = (
    "the class of each image, the predicted class and its confidence, and the probability of the "
    "image's own class."
)
TILE_SIDE, COLUMNS, MAX_TILES = 170, 6, 24


def write_classification_report(
    folder: OutputFolder,
    evaluation: ClassificationEvaluation | MultiLabelEvaluation,
    title: str,
    training: TrainingRecord | None = None,
) -> None:
    """Write metrics, pictures and an HTML page about a classifier.

    Args:
        folder: folder that the files are written to.
        evaluation: the evaluation of the classifier, of any kind of labels.
        title: title of the page.
        training: the training that the classifier comes from, to be shown too.
    """
    if isinstance(evaluation, MultiLabelEvaluation):
        write_multi_label_report(folder, evaluation, title, training)
        return
    sheet = draw_mistakes(evaluation)
    pictures = [
        confusion_picture(evaluation.confusion, evaluation.dataset.class_names, CONFUSION_CAPTION),
        *([] if evaluation.calibration is None else [calibration_picture(evaluation.calibration)]),
        *mistakes_pictures("Misclassified images, the highest confidence first", sheet),
    ]
    predictions = evaluation.per_image(), ABOUT_PREDICTIONS
    write_report(folder, title, evaluation, _summary(evaluation), pictures, *predictions, training)


def draw_mistakes(
    evaluation: ClassificationEvaluation, max_tiles: int = MAX_TILES
) -> Image.Image | None:
    """Draw the misclassified images with the highest confidence, with a caption below each.

    A caption has the label, the predicted class with its confidence, and the file name.

    Args:
        evaluation: the evaluation of a classifier.
        max_tiles: maximum number of images.

    Returns:
        A Pillow image, or `None` if every image is classified correctly.
    """
    tiles = [_tile(evaluation, index) for index in evaluation.mistakes[:max_tiles]]
    return draw_contact_sheet(tiles, TILE_SIDE, COLUMNS)


def _tile(evaluation: ClassificationEvaluation, index: int) -> Tile:
    dataset, square = evaluation.dataset, (TILE_SIDE, TILE_SIDE)
    predicted = int(evaluation.predicted[index])
    confidence = evaluation.probabilities[index, predicted]
    image = ImageOps.pad(
        open_or_blank(dataset.paths[index], 2 * TILE_SIDE, square), square, color="white"
    )
    caption = (
        (f"label: {dataset.class_names[dataset.labels[index]]}", "black"),
        (f"{dataset.class_names[predicted]} {confidence:.0%}", "firebrick"),
        (dataset.paths[index].name, "gray"),
    )
    return Tile(image, caption)


def _summary(evaluation: ClassificationEvaluation) -> str:
    low, high = evaluation.interval
    header = ("class", "images", "precision", "recall", "F1")
    rows = [
        (c.name, c.images, *map(format_metric, (c.precision, c.recall, c.f1)))
        for c in evaluation.classes
    ]
    top_5 = f"; top-5 accuracy {evaluation.top(5):.2%}" if len(rows) > 5 else ""
    accuracy = (
        f"Accuracy <b>{evaluation.accuracy:.2%}</b> on {len(evaluation.dataset)} images "
        f"(95 % confidence interval {low:.2%} to {high:.2%}){top_5}."
    )
    return f"<p>{accuracy}{_ranks(evaluation)}</p>{table(header, rows)}"


def _ranks(evaluation: ClassificationEvaluation) -> str:
    """Return the metrics of ordered classes, if they are ordered."""
    return f" {evaluation.ranks}." if isinstance(evaluation, OrdinalEvaluation) else ""
