"""Pictures of what a network sees."""

import colorsys
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cspdarknet.detections import Detections

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

PANEL = 360  # longer side of each panel, in pixels
MARGIN = 10
CAPTION = 26


def pca_colors(features: np.ndarray) -> np.ndarray:
    """Color a feature map by its three strongest directions of variation.

    Args:
        features: float array `(height, width, channels)`.

    Returns:
        Array of uint8, `(height, width, 3)`: places that the network finds alike have like colors.

    Example:
        >>> pca_colors(np.random.rand(28, 28, 96)).shape
        (28, 28, 3)
    """
    height, width, channels = features.shape
    points = np.nan_to_num(features.reshape(-1, channels).astype("float64"))
    points -= points.mean(axis=0)
    _, vectors = np.linalg.eigh(points.T @ points)
    axes = vectors[:, ::-1][:, :3]
    # An eigenvector has no sign of its own: make its largest entry positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    projected = np.zeros((len(points), 3))
    projected[:, : axes.shape[1]] = points @ axes
    low, high = np.percentile(projected, [1, 99], axis=0)
    scaled = (projected - low) / np.maximum(high - low, 1e-12)
    return (scaled.clip(0, 1) * 255).round().astype("uint8").reshape(height, width, 3)


def feature_picture(photo: np.ndarray, features: Mapping[str, np.ndarray]) -> Image.Image:
    """Draw a photo beside its feature maps, one panel for each level.

    Args:
        photo: array of uint8, `(height, width, 3)`.
        features: feature maps `(height, width, channels)` by level.

    Returns:
        A Pillow image.

    Example:
        >>> photo, p3 = np.zeros((60, 90, 3), "uint8"), np.random.rand(8, 12, 96)
        >>> feature_picture(photo, {"P3": p3}).save("features.png")
    """
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3:
        raise ValueError(
            "`photo` must be a uint8 array (height, width, 3). "
            f"Received: {photo.dtype} of shape {photo.shape}"
        )
    height, width = photo.shape[:2]
    scale = PANEL / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    panels = [(f"photo  {width} x {height}", photo, Image.Resampling.BICUBIC)]
    for level, values in features.items():
        rows, columns, channels = values.shape
        caption = f"{level}  {columns} x {rows} x {channels}"
        panels.append((caption, pca_colors(values), Image.Resampling.NEAREST))
    sheet = Image.new(
        "RGB",
        (len(panels) * (size[0] + MARGIN) + MARGIN, size[1] + MARGIN + CAPTION),
        "white",
    )
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=15)
    for i, (caption, pixels, resampling) in enumerate(panels):
        left = MARGIN + i * (size[0] + MARGIN)
        sheet.paste(Image.fromarray(pixels).resize(size, resampling), (left, MARGIN))
        draw.text((left, MARGIN + size[1] + 4), caption, fill="black", font=font)
    return sheet


# Labels may cover so much of a photo; further ones are left out, the colors stay.
LABELLED_SHARE = 0.12


Color = tuple[int, int, int]


Rectangle = tuple[float, float, float, float]


def class_color(label: int) -> Color:
    """Return the color of a class: always the same, and unlike those of its neighbors."""
    hue = (0.6 + 0.618034 * label) % 1  # steps of the golden ratio never meet again
    # Greens and yellows are dimmed: on a bright photo they would hardly be seen.
    value = 0.75 if 0.1 < hue < 0.5 else 0.92
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.95, value))
    return red, green, blue


def draw_boxes(
    photo: Image.Image | np.ndarray, detections: Detections, class_names: Sequence[str]
) -> Image.Image:
    """Draw what was found in a photo: a box in the color of its class, with name and score.

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
        outline(draw, detections.boxes[i], class_color(int(detections.classes[i])), width)
    font = ImageFont.load_default(size=_text_size(detections))
    for rectangle, text, label in _labels(detections, class_names, order, font):
        _draw_label(draw, rectangle, text, class_color(label), font)
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


def outline(draw: ImageDraw.ImageDraw, box: np.ndarray, color: Color, width: int) -> None:
    x1, y1, x2, y2 = box.tolist()
    draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=color, width=width)


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
    color: Color,
    font: Font,
) -> None:
    x1, y1, x2, y2 = rectangle
    draw.rectangle((x1, y1, x2 - 1, y2 - 1), fill=color)
    brightness = (299 * color[0] + 587 * color[1] + 114 * color[2]) / 1000
    draw.text((x1 + 2, y1 + 1), text, fill="black" if brightness > 140 else "white", font=font)


def fit_text(text: str, font: Font, width: int) -> str:
    """Return the text, cut off with an ellipsis if it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
