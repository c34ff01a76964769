"""Pictures of detections and feature maps."""

import colorsys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cspdarknet._files import write_whole
from cspdarknet._unfinished import make_folder
from cspdarknet.images import (
    RGB,
    array_of_channels,
    as_image_array,
    as_picture,
    open_picture,
)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Color = tuple[int, int, int]
Rectangle = tuple[float, float, float, float]  # left, top, right, bottom

# Of `feature_picture`, in pixels.
PANEL_SIDE, MARGIN, CAPTION_HEIGHT = 360, 10, 26
PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png")
JPEG_QUALITY = 92
# Labels cover at most this fraction of an image; the boxes without one still have a color.
MAX_LABEL_AREA = 0.12


def pca_colors(features: np.ndarray) -> np.ndarray:
    """Color a feature map by its first three principal components.

    Args:
        features: float array `(height, width, channels)`.

    Returns:
        A uint8 array `(height, width, 3)`, in which similar features have similar colors.

    Example:
        >>> pca_colors(np.random.rand(28, 28, 96)).shape
        (28, 28, 3)
    """
    height, width, channels = features.shape
    points = np.nan_to_num(features.reshape(-1, channels).astype("float64"))
    points -= points.mean(axis=0)
    _, vectors = np.linalg.eigh(points.T @ points)
    axes = vectors[:, ::-1][:, :3]
    # The sign of an eigenvector is arbitrary: make its largest entry positive.
    axes = axes * np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    projected = np.zeros((len(points), 3))
    projected[:, : axes.shape[1]] = points @ axes
    low, high = np.percentile(projected, [1, 99], axis=0)
    scaled = (projected - low) / np.maximum(high - low, 1e-12)
    return (scaled.clip(0, 1) * 255).round().astype("uint8").reshape(height, width, 3)


def feature_picture(image: np.ndarray, features: Mapping[str, np.ndarray]) -> Image.Image:
    """Draw an image beside its feature maps, one panel for each level.

    Args:
        image: uint8 array `(height, width, 3)`, RGB.
        features: feature maps `(height, width, channels)` by level.

    Returns:
        A Pillow image.

    Raises:
        ValueError: if the image is not of this form.

    Example:
        >>> image, p3 = np.zeros((60, 90, 3), "uint8"), np.random.rand(8, 12, 96)
        >>> feature_picture(image, {"P3": p3}).save("features.png")
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ValueError(
            "`image` must be a uint8 array (height, width, 3). "
            f"Received: {image.dtype} of shape {image.shape}"
        )
    height, width = image.shape[:2]
    shown = [(f"image  {width} x {height}", image, Image.Resampling.BICUBIC)]
    for level, values in features.items():
        rows, columns, channels = values.shape
        caption = f"{level}  {columns} x {rows} x {channels}"
        shown.append((caption, pca_colors(values), Image.Resampling.NEAREST))
    return draw_panels(shown)


def draw_panels(panels: Sequence[tuple[str, np.ndarray, Image.Resampling]]) -> Image.Image:
    """Draw pictures side by side, all at the size of the first, with captions.

    Args:
        panels: of each picture the caption, a uint8 array `(height, width, 3)`, and how it is
            resized.

    Returns:
        A Pillow image.
    """
    height, width = panels[0][1].shape[:2]
    scale = PANEL_SIDE / max(height, width)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    sheet_size = len(panels) * (size[0] + MARGIN) + MARGIN, size[1] + MARGIN + CAPTION_HEIGHT
    sheet = Image.new("RGB", sheet_size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=15)
    for i, (caption, pixels, resampling) in enumerate(panels):
        left = MARGIN + i * (size[0] + MARGIN)
        sheet.paste(Image.fromarray(pixels).resize(size, resampling), (left, MARGIN))
        text = fit_text(caption, font, size[0])
        draw.text((left, MARGIN + size[1] + 4), text, fill="black", font=font)
    return sheet


def class_color(class_id: int) -> Color:
    """Return the color of a class, RGB in 0..255; the colors of neighboring classes differ."""
    hue = (0.6 + 0.618034 * class_id) % 1  # steps of the golden ratio never repeat a hue
    # Greens and yellows are darker, to be visible on bright images.
    value = 0.75 if 0.1 < hue < 0.5 else 0.92
    red, green, blue = (round(255 * channel) for channel in colorsys.hsv_to_rgb(hue, 0.95, value))
    return red, green, blue


class _LabeledBoxes(Protocol):
    """What `draw_boxes` needs of `Detections`, whose `plot` needs `draw_boxes` in turn."""

    @property
    def xyxy(self) -> np.ndarray: ...
    @property
    def confidence(self) -> np.ndarray: ...
    @property
    def class_id(self) -> np.ndarray: ...
    @property
    def image_size(self) -> tuple[int, int]: ...
    @property
    def class_names(self) -> tuple[str, ...] | Mapping[int, str] | None: ...


def draw_boxes(
    image: str | Path | Image.Image | np.ndarray,
    detections: _LabeledBoxes,
    show_confidence: bool = True,
) -> Image.Image:
    """Draw detections: boxes in the colors of their classes, with names and confidences.

    Lines and text scale with the image. Labels are drawn in descending order of confidence where
    they cover no other label; in a crowded image most boxes have none.

    Args:
        image: a path, a Pillow image, or an array `(height, width, 3)`, RGB in 0..255.
        detections: the `Detections` in the image.
        show_confidence: whether labels have the confidence; ground truth has none.

    Returns:
        A new Pillow image of the same size.

    Raises:
        ValueError: if the size of the image is not that of the detections, or the image cannot be
            used.

    Example:
        >>> detections = Detections([[10, 8, 60, 40]], [0.9], [0], (48, 64), ["cell"])
        >>> draw_boxes(Image.new("RGB", (64, 48)), detections).size
        (64, 48)
    """
    drawn = _picture(image)
    if drawn.size[::-1] != detections.image_size:
        raise ValueError(
            f"`image` must be that of the detections, of (height, width) {detections.image_size}. "
            f"Received: an image of {drawn.size[::-1]}"
        )
    draw = ImageDraw.Draw(drawn)
    width = max(1, round(max(drawn.size) / 320))
    order = np.argsort(-detections.confidence, kind="stable")
    for i in order[::-1]:  # the highest confidence on top
        outline(draw, detections.xyxy[i], class_color(int(detections.class_id[i])), width)
    font = ImageFont.load_default(size=_text_size(detections))
    for rectangle, text, class_id in _labels(detections, order, font, show_confidence):
        _draw_label(draw, rectangle, text, class_color(class_id), font)
    return drawn


def outline(draw: ImageDraw.ImageDraw, box: np.ndarray, color: Color, width: int) -> None:
    """Draw the outline of a box, an array of left, top, right and bottom."""
    x1, y1, x2, y2 = box.tolist()
    draw.rectangle((x1, y1, max(x1, x2 - 1), max(y1, y2 - 1)), outline=color, width=width)


def _text_size(detections: _LabeledBoxes) -> int:
    """Return the height of the text: by the size of the image, and less where boxes are small."""
    size = max(detections.image_size) / 45
    if len(detections.xyxy) > 10:
        heights = detections.xyxy[:, 3] - detections.xyxy[:, 1]
        size = min(size, max(size / 2, 0.3 * float(np.median(heights))))
    return max(10, round(size))


def _labels(
    detections: _LabeledBoxes, order: np.ndarray, font: Font, show_confidence: bool
) -> Iterator[tuple[Rectangle, str, int]]:
    """Yield rectangle, text and class of each label; the first of each class comes first."""
    height, width = detections.image_size
    _, first = np.unique(detections.class_id[order], return_index=True)
    taken: list[Rectangle] = []
    area_left = MAX_LABEL_AREA * height * width
    for i in [*order[np.sort(first)], *np.delete(order, first)]:
        class_id = int(detections.class_id[i])
        names = detections.class_names
        text = str(class_id) if names is None else names[class_id]
        if show_confidence:
            text += f" {detections.confidence[i]:.2f}"
        rectangle = _free_rectangle(detections.xyxy[i], text, font, (width, height), taken)
        if rectangle is None:
            continue
        x1, y1, x2, y2 = rectangle
        area_left -= (x2 - x1) * (y2 - y1)
        if area_left < 0 and taken:
            return
        taken.append(rectangle)
        yield rectangle, text, class_id


def _free_rectangle(
    box: np.ndarray,
    text: str,
    font: Font,
    image_size: tuple[int, int],
    taken: Sequence[Rectangle],
) -> Rectangle | None:
    """Return a free rectangle above a box, below it, or in its corner, within the image."""
    bounds = font.getbbox(text)
    width, height = bounds[2] + 5, bounds[3] + 3
    x1, y1, _, y2 = box.tolist()
    if width > image_size[0] or height > image_size[1]:
        return None
    left = min(max(x1, 0), image_size[0] - width)
    # A box may extend beyond the image: its corner is then that of the image.
    for top in (y1 - height, y2, max(y1, 0)):
        if 0 <= top <= image_size[1] - height:
            rectangle = (left, top, left + width, top + height)
            if not any(_overlap(rectangle, other) for other in taken):
                return rectangle
    return None


def _overlap(a: Rectangle, b: Rectangle) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _draw_label(
    draw: ImageDraw.ImageDraw, rectangle: Rectangle, text: str, color: Color, font: Font
) -> None:
    x1, y1, x2, y2 = rectangle
    draw.rectangle((x1, y1, x2 - 1, y2 - 1), fill=color)
    brightness = (299 * color[0] + 587 * color[1] + 114 * color[2]) / 1000
    draw.text((x1 + 2, y1 + 1), text, fill="black" if brightness > 140 else "white", font=font)


def fit_text(text: str, font: Font, width: int) -> str:
    """Return a text, truncated with an ellipsis if it is wider than `width` pixels."""
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"


def save_picture(picture: Image.Image, path: str | Path) -> None:
    """Write a picture as JPEG or PNG, atomically; missing folders are created.

    Args:
        picture: a Pillow image.
        path: the file, which ends in `.jpg`, `.jpeg` or `.png`.

    Raises:
        ValueError: if it ends in another suffix.
    """
    path = check_picture_path(path)
    make_folder(path.parent)
    write_whole(path, lambda part: picture.save(part, quality=JPEG_QUALITY))


def check_picture_path(path: str | Path) -> Path:
    """Return the path of a picture.

    Raises:
        ValueError: if it ends in another suffix than `.jpg`, `.jpeg` or `.png`.
    """
    path = Path(path)
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise ValueError(
            f"A picture must end in {', '.join(PICTURE_SUFFIXES[:-1])} or {PICTURE_SUFFIXES[-1]}. "
            f"Received: {path}"
        )
    return path


def _picture(image: Any) -> Image.Image:
    """Return an image of any number of channels as an RGB picture to draw on."""
    if isinstance(image, (str, Path)):
        return open_picture(image)
    shape: Any = getattr(image, "shape", ())
    if len(shape) == 3 and shape[2] != RGB:
        return Image.fromarray(as_picture(array_of_channels(image, shape[2])))
    return Image.fromarray(as_image_array(image))  # a copy, as soon as it is drawn on
