"""A contact sheet of photos that a classifier takes for something else."""

from PIL import Image, ImageDraw, ImageFont, ImageOps

from cspdarknet.evaluate import ClassificationEvaluation
from cspdarknet.images import ImageError, open_image
from cspdarknet.visualize import fit_text

TILE, COLUMNS, CAPTION, MARGIN = 170, 6, 38, 8


def draw_mistakes(evaluation: ClassificationEvaluation, limit: int = 24) -> Image.Image | None:
    """Draw the surest mistakes, each with its true and its predicted class.

    Args:
        evaluation: predictions beside the truth.
        limit: how many to show.

    Returns:
        A Pillow image, or `None` if there is no mistake.
    """
    places = evaluation.mistakes[:limit]
    if not places:
        return None
    columns = min(COLUMNS, len(places))
    rows = -(-len(places) // columns)
    step = TILE + MARGIN, TILE + CAPTION + MARGIN
    sheet = Image.new("RGB", (columns * step[0] + MARGIN, rows * step[1] + MARGIN), "white")
    for i, place in enumerate(places):
        left, top = MARGIN + i % columns * step[0], MARGIN + i // columns * step[1]
        _draw_tile(sheet, left, top, evaluation, place)
    return sheet


def _draw_tile(
    sheet: Image.Image, left: int, top: int, evaluation: ClassificationEvaluation, place: int
) -> None:
    photos = evaluation.photos
    try:
        photo = ImageOps.pad(open_image(photos.paths[place], 2 * TILE), (TILE, TILE), color="white")
        sheet.paste(photo, (left, top))
    except ImageError:  # it could be read when it was classified; the caption says enough
        pass
    guess = int(evaluation.predicted[place])
    share = evaluation.probabilities[place, guess]
    lines = (
        (f"is {photos.class_names[photos.labels[place]]}", "black"),
        (f"taken for {photos.class_names[guess]}, {share:.0%}", "firebrick"),
    )
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=13)
    for line, (text, color) in enumerate(lines):
        draw.text(
            (left, top + TILE + 2 + 17 * line), fit_text(text, font, TILE), fill=color, font=font
        )
