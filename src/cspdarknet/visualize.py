"""Pictures of what a network sees."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

PANEL = 360  # longer side of each panel, in pixels
MARGIN = 10
CAPTION = 26


def pca_colours(features: np.ndarray) -> np.ndarray:
    """Colour a feature map by its three strongest directions of variation.

    Args:
        features: float array `(height, width, channels)`.

    Returns:
        Array of uint8, `(height, width, 3)`: places that the network finds alike have like colours.

    Example:
        >>> pca_colours(np.random.rand(28, 28, 96)).shape
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
        panels.append((caption, pca_colours(values), Image.Resampling.NEAREST))
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
