"""Plots of datasets: classes, sizes, positions and number of boxes, sizes of images."""

from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np

from cspdarknet._image_size import ImageSize, sides, to_text
from cspdarknet.data.problems import count_of
from cspdarknet.reports.plots import new_figure, save_png

STRIDES = (8, 16, 32)  # of the feature maps of a detector
MAX_BARS = 40  # more of them are too small to read
MAX_NAME = 30  # characters
BINS = 48
RATIOS = (8, 4, 2, 1)
COLOR = "tab:blue"


def draw_class_counts(
    counts: Mapping[str, np.ndarray], class_names: Sequence[str], label: str, file: BinaryIO
) -> None:
    """Draw the number of images or boxes of each class as bars, one for each split.

    Args:
        counts: for each split an integer array `(classes,)`.
        class_names: names of the classes. The most frequent ones are shown.
        label: what is counted.
        file: binary file that the PNG is written to.
    """
    totals = np.sum(list(counts.values()), axis=0)
    shown = np.argsort(-totals, kind="stable")[:MAX_BARS]
    figure = new_figure(8, 1.3 + 0.19 * len(shown) * (len(counts) + 0.6))
    axes = figure.subplots()
    height = 0.82 / len(counts)
    for row, (split, values) in enumerate(counts.items()):
        bars = axes.barh(np.arange(len(shown)) + row * height, values[shown], height, label=split)
        axes.bar_label(bars, [f"{value:,}" for value in values[shown]], padding=3, fontsize=8)
    middle = (len(counts) - 1) * height / 2
    names = _shortened([class_names[i] for i in shown])
    axes.set_yticks(np.arange(len(shown)) + middle, names, parse_math=False)
    axes.set(xlabel=label)
    if len(shown) < len(class_names):
        axes.set_title(f"the most frequent {len(shown)} of {len(class_names):,} classes")
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.margins(x=0.12, y=0.02)
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    if len(counts) > 1:
        axes.legend()
    save_png(figure, file)


def draw_box_sizes(boxes: np.ndarray, image_size: ImageSize, file: BinaryIO) -> None:
    """Draw width over height of boxes, and their shorter sides, beside the strides of a detector.

    Args:
        boxes: float array `(boxes, 2)`: width and height in pixels of the training images.
        image_size: side of the training images in pixels, or height and width.
        file: binary file that the PNG is written to.
    """
    figure = new_figure(10, 4.4)
    left, right = figure.subplots(1, 2)
    boxes, longest = boxes.clip(0.5, None), max(sides(image_size))
    edges = np.geomspace(min(1.0, boxes.min()), 1.15 * max(longest, boxes.max()), BINS)
    _, _, _, mesh = left.hist2d(*boxes.T, bins=[edges, edges], cmap="Blues", norm="log")
    figure.colorbar(mesh, ax=left, label="boxes")
    left.set(yscale="log", ylabel="height in pixels", xlabel="width in pixels", title="boxes")
    right.hist(boxes.min(axis=1), bins=edges, color=COLOR)
    right.set(xlabel="shorter side in pixels", ylabel="boxes", title="shorter sides")
    for axes in (left, right):
        axes.set_xscale("log")
        _mark_strides(axes, longest)
    for stride in STRIDES:
        left.axhline(stride, color="tab:red", linewidth=1, linestyle=":")
    left.set_yticks(*_ticks(longest), minor=False)
    left.minorticks_off()
    save_png(figure, file)


def draw_box_shapes(
    sides: np.ndarray, centers: np.ndarray, per_image: np.ndarray, file: BinaryIO
) -> None:
    """Draw aspect ratios, positions of the centers, and the number of boxes per image.

    Args:
        sides: float array `(boxes, 2)`: width and height.
        centers: float array `(boxes, 2)`: x and y in 0..1, as fractions of the image.
        per_image: int array `(images,)`: number of boxes of each image.
        file: binary file that the PNG is written to.
    """
    figure = new_figure(13, 4.2)
    shapes, positions, numbers = figure.subplots(1, 3)
    ratios = np.log2(sides[:, 0] / sides[:, 1].clip(1e-6, None)).clip(-4, 4)
    shapes.hist(ratios, bins=np.linspace(-4, 4, BINS + 1), color=COLOR)
    wide = [f"{ratio}:1" for ratio in RATIOS[:-1]]
    tall = [f"1:{ratio}" for ratio in reversed(RATIOS)]
    shapes.set_xticks([3, 2, 1, 0, -1, -2, -3], wide + tall)
    shapes.set(title="aspect ratios", xlabel="width : height", ylabel="boxes")
    cells = np.linspace(0, 1, 1 + int(np.sqrt(len(centers) / 8).clip(8, 40)))
    counts, _, _ = np.histogram2d(centers[:, 1], centers[:, 0], bins=[cells, cells])
    image = positions.imshow(counts, extent=(0, 1, 1, 0), cmap="viridis", aspect="equal")
    figure.colorbar(image, ax=positions, label="boxes", shrink=0.85)
    positions.set(title="centers of the boxes", xlabel="x / width", ylabel="y / height")
    largest = int(per_image.max(initial=0))
    step = max(1, -(-(largest + 1) // BINS))
    numbers.hist(per_image, bins=np.arange(0, largest + step + 1, step) - 0.5, color=COLOR)
    numbers.xaxis.get_major_locator().set_params(integer=True)
    numbers.set(title="boxes per image", xlabel="boxes", ylabel="images")
    save_png(figure, file)


def draw_cooccurrence(counts: np.ndarray, class_names: Sequence[str], file: BinaryIO) -> None:
    """Draw in how many images the classes occur together.

    Args:
        counts: int array `(classes, classes)`: number of images with both classes; the diagonal
            has the number of images with the class.
        class_names: names of the classes.
        file: binary file that the PNG is written to.
    """
    side = 2.6 + 0.5 * len(class_names)
    figure = new_figure(side + 1.2, side)
    axes = figure.subplots()
    fractions = counts / np.maximum(np.diag(counts), 1)[:, None]
    image = axes.imshow(fractions, cmap="Blues", vmin=0, vmax=1)
    figure.colorbar(image, ax=axes, shrink=0.8, label="fraction of the images of the row")
    names = _shortened(class_names)
    axes.set_xticks(range(len(names)), names, rotation=90, parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    axes.set(title="images with both classes")
    for row, column in np.ndindex(*counts.shape):
        color = "white" if fractions[row, column] > 0.5 else "black"
        text = f"{counts[row, column]:,}"
        axes.text(column, row, text, ha="center", va="center", color=color, fontsize=7)
    save_png(figure, file)


def draw_image_sizes(sizes: np.ndarray, image_size: ImageSize, file: BinaryIO) -> None:
    """Draw width and height of images, each size as a disk whose area grows with the number.

    Args:
        sizes: int array `(images, 2)`: width and height in pixels.
        image_size: side of the training images in pixels, or height and width.
        file: binary file that the PNG is written to.
    """
    unique, counts = np.unique(sizes, axis=0, return_counts=True)
    figure = new_figure(6.4, 5.4)
    axes = figure.subplots()
    area = 14 + 500 * counts / counts.sum()
    axes.scatter(*unique.T, s=area, alpha=0.5, color=COLOR, linewidths=0)
    height, width = sides(image_size)
    largest = 1.1 * max(unique.max(), height, width)
    axes.axvline(width, color="tab:red", linestyle=":", linewidth=1)
    axes.axhline(height, color="tab:red", linestyle=":", linewidth=1)
    axes.plot([0, largest], [0, largest], color="gray", linewidth=0.7)
    axes.set(xlim=(0, largest), ylim=(0, largest), aspect="equal")
    axes.set(xlabel="width in pixels", ylabel="height in pixels")
    counted = f"{count_of(len(sizes), 'image')} of {count_of(len(unique), 'size')}"
    title = f"{counted}; dotted: {to_text(image_size)} pixels"
    axes.set_title(title, fontsize=10)
    axes.grid(alpha=0.3)
    save_png(figure, file)


def _shortened(names: Sequence[str]) -> list[str]:
    return [name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…" for name in names]


def _ticks(image_size: int) -> tuple[list[int], list[str]]:
    ticks = [1, 2, 4, *STRIDES, 64, 128, 256, 512, 1024]
    ticks = [tick for tick in ticks if tick <= max(image_size, STRIDES[-1])]
    return ticks, [str(tick) for tick in ticks]


def _mark_strides(axes: Any, image_size: int) -> None:
    """Draw a line at each stride, and set ticks at powers of two."""
    for stride in STRIDES:
        axes.axvline(stride, color="tab:red", linewidth=1, linestyle=":")
    axes.set_xticks(*_ticks(image_size), minor=False)
    axes.minorticks_off()
