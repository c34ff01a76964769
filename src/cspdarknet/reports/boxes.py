"""Draw boxes on photos: what a detector found, and where it is wrong."""

import colorsys
from collections.abc import Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from cspdarknet.detect import Detections
from cspdarknet.evaluate.boxes import DetectionEvaluation
from cspdarknet.images import PhotoError, open_photo
from cspdarknet.reports.captions import Font, fit

# Labels may cover so much of a photo; further ones are left out, the colours stay.
LABELLED_SHARE = 0.12
TILE, COLUMNS, CAPTION, MARGIN = 400, 3, 42, 10
PALE = (225, 225, 225)

Colour = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]


def class_colour(label: int) -> Colour:
    """Return the colour of a class: always the same, and unlike those of its neighbours."""
    hue = (0.6 + 0.618034 * label) % 1  # steps of the golden ratio never meet again
    # Greens and yellows are dimmed: on a bright photo they would hardly be seen.
    value = 0.75 if 0.1 < hue < 0.5 else 0.92
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.95, value))
    return red, green, blue


def draw_boxes(
    photo: Image.Image | np.ndarray, detections: Detections, class_names: Sequence[str]
) -> Image.Image:
    """Draw what was found in a photo: a box in the colour of its class, with name and score.

    Lines and text grow with the photo. Labels are placed from the surest detection down, where
    they cover no other label; in a crowded photo most boxes have none.

    Args:
        photo: a Pillow image, or an array `(height, width, 3)` of RGB in 0..255.
        detections: what was found.
        class_names: names of the classes.

    Returns:
        A new Pillow image of the same size.

    Raises:
        ValueError: if the photo is not as large as that of the detections.

    Example:
        >>> found = Detections([[10, 8, 60, 40]], [0.9], [0], image_size=(48, 64))
        >>> draw_boxes(Image.new("RGB", (64, 48)), found, ["cell"]).size
        (64, 48)
    """
    if not isinstance(photo, Image.Image):
        photo = Image.fromarray(np.asarray(photo).clip(0, 255).astype("uint8"))
    if photo.size[::-1] != detections.image_size:
        raise ValueError(
            f"The detections are of a photo of (height, width) {detections.image_size}. "
            f"Received one of {photo.size[::-1]}"
        )
    drawn = photo.convert("RGB")
    if drawn is photo:
        drawn = photo.copy()
    draw = ImageDraw.Draw(drawn)
    width = _line_width(drawn.size)
    order = np.argsort(-detections.scores, kind="stable")
    for i in order[::-1]:  # the surest on top
        _outline(draw, detections.boxes[i], class_colour(int(detections.classes[i])), width)
    font = ImageFont.load_default(size=_text_size(detections))
    for rectangle, text, label in _labels(detections, class_names, order, font):
        _draw_label(draw, rectangle, text, class_colour(label), font)
    return drawn


def _line_width(size: tuple[int, int]) -> int:
    return max(1, round(max(size) / 320))


def _text_size(detections: Detections) -> int:
    """Return the height of the text: by the photo, and less where the boxes are small."""
    by_photo = max(detections.image_size) / 45
    if len(detections) > 10:
        heights = detections.boxes[:, 3] - detections.boxes[:, 1]
        by_photo = min(by_photo, max(by_photo / 2, 0.3 * float(np.median(heights))))
    return max(10, round(by_photo))


def _outline(draw: ImageDraw.ImageDraw, box: np.ndarray, colour: Colour, width: int) -> None:
    x1, y1, x2, y2 = box.tolist()
    draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=colour, width=width)


def _labels(
    detections: Detections,
    class_names: Sequence[str],
    order: np.ndarray,
    font: Font,
) -> Iterator[tuple[Rectangle, str, int]]:
    """Find places for the labels; the first one of each class comes before all others."""
    height, width = detections.image_size
    _, first = np.unique(detections.classes[order], return_index=True)
    places: list[Rectangle] = []
    left = LABELLED_SHARE * height * width
    for i in [*order[np.sort(first)], *np.delete(order, first)]:
        label = int(detections.classes[i])
        text = f"{class_names[label]} {detections.scores[i]:.2f}"
        rectangle = _place(detections.boxes[i], text, font, (width, height), places)
        if rectangle is None:
            continue
        x1, y1, x2, y2 = rectangle
        left -= (x2 - x1) * (y2 - y1)
        if left < 0 and places:
            return
        places.append(rectangle)
        yield rectangle, text, label


def _place(
    box: np.ndarray,
    text: str,
    font: Font,
    size: tuple[int, int],
    taken: Sequence[Rectangle],
) -> Rectangle | None:
    """Return a free rectangle above a box, below it, or in its corner; all inside the photo."""
    bounds = font.getbbox(text)
    width, height = bounds[2] + 5, bounds[3] + 3
    x1, y1, _, y2 = box.tolist()
    if width > size[0] or height > size[1]:
        return None
    left = min(max(x1, 0), size[0] - width)
    for top in (y1 - height, y2, y1):
        if 0 <= top <= size[1] - height:
            place = (left, top, left + width, top + height)
            if not any(_touch(place, other) for other in taken):
                return place
    return None


def _touch(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _draw_label(
    draw: ImageDraw.ImageDraw,
    rectangle: Rectangle,
    text: str,
    colour: Colour,
    font: Font,
) -> None:
    x1, y1, x2, y2 = rectangle
    draw.rectangle((x1, y1, x2 - 1, y2 - 1), fill=colour)
    brightness = (299 * colour[0] + 587 * colour[1] + 114 * colour[2]) / 1000
    draw.text((x1 + 2, y1 + 1), text, fill="black" if brightness > 140 else "white", font=font)


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
        photo = open_photo(path, 2 * TILE)
    except PhotoError:  # it could be read before; the caption says enough
        photo = Image.new("RGB", evaluation.detections[place].image_size[::-1], "white")
    photo = ImageOps.contain(photo, (TILE, TILE), Image.Resampling.BICUBIC)
    _draw_mistakes(ImageDraw.Draw(photo), photo.size, evaluation, place)
    tile = Image.new("RGB", (TILE, photo.height + CAPTION), "white")
    tile.paste(photo, ((TILE - photo.width) // 2, 0))
    missed, false = evaluation.mistakes[place]
    boxes = int((~evaluation.photos.ignored[place]).sum())
    lines = ((path.name, "black"), (f"{missed} of {boxes} missed, {false} false", "firebrick"))
    draw, font = ImageDraw.Draw(tile), ImageFont.load_default(size=14)
    for line, (text, colour) in enumerate(lines):
        position = (0, photo.height + 2 + 18 * line)
        draw.text(position, fit(text, font, TILE), fill=colour, font=font)
    return tile


def _draw_mistakes(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], evaluation: DetectionEvaluation, place: int
) -> None:
    found, matched = evaluation.kept[place], evaluation.matches[place]
    boxes, labels = evaluation.photos.boxes[place], evaluation.photos.labels[place]
    scale = np.array(size * 2) / np.array(found.image_size[::-1] * 2)
    for i in np.flatnonzero(matched.right):
        _outline(draw, found.boxes[i] * scale, PALE, 1)
    for i in np.flatnonzero(matched.counted & ~matched.right):
        _outline(draw, found.boxes[i] * scale, class_colour(int(found.classes[i])), 3)
    missed = np.setdiff1d(np.flatnonzero(~evaluation.photos.ignored[place]), matched.truth)
    for i in missed:
        _dashed(draw, boxes[i] * scale, class_colour(int(labels[i])), 3)


def _dashed(
    draw: ImageDraw.ImageDraw, box: np.ndarray, colour: Colour, width: int, dash: int = 7
) -> None:
    x1, y1, x2, y2 = box.tolist()
    for start in np.arange(x1, x2, 2 * dash):
        for y in (y1, y2 - 1):
            draw.line((start, y, min(start + dash, x2), y), fill=colour, width=width)
    for start in np.arange(y1, y2, 2 * dash):
        for x in (x1, x2 - 1):
            draw.line((x, start, x, min(start + dash, y2)), fill=colour, width=width)
