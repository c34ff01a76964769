"""Tiles of large training images, with the boxes in them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.data.detection.transforms import clip_boxes
from cspdarknet.images import image_size
from cspdarknet.tiles import Tiles, Window

# Most tiles without a box, as a multiple of those with one.
MAX_BACKGROUND = 1.0
SizeOf = Callable[[Path], tuple[int, int]]


@dataclass(frozen=True)
class TiledDetectionDataset(DetectionDataset):
    """Tiles of images, each with the boxes in it; an image has as many entries as tiles.

    Attributes: those of `DetectionDataset`, with boxes in pixels of the tile, and:
        windows: the part of the image that each tile is.
    """

    windows: tuple[Window, ...]

    def window(self, index: int) -> Window | None:
        """Return the part of the image that a tile is."""
        return self.windows[index]

    def windows_of(self, path: Path) -> list[Window]:
        """Return all tiles of an image."""
        return self._by_path[path]

    @cached_property
    def _by_path(self) -> dict[Path, list[Window]]:
        result: dict[Path, list[Window]] = {}
        for path, window in zip(self.paths, self.windows, strict=True):
            result.setdefault(path, []).append(window)
        return result

    def _annotation_bytes(self, index: int) -> bytes:
        return repr(tuple(self.windows[index])).encode() + super()._annotation_bytes(index)


def tiled_dataset(
    dataset: DetectionDataset, tiles: Tiles, size_of: SizeOf = image_size
) -> TiledDetectionDataset:
    """Cut the images of a dataset into overlapping tiles.

    A box that a tile cuts is kept if a fifth of it is visible, as in a mosaic. At most as many
    tiles without a box as with one are kept: of more, every image keeps the same fraction of its
    own. The result depends on the arguments only.

    Args:
        dataset: the images and their boxes.
        tiles: the options of the tiles. `with_whole` adds each image that has more than one tile.
        size_of: returns width and height of an image file.

    Raises:
        ImageError: if an image cannot be read.

    Example:
        >>> Image.new("RGB", (150, 60)).save("cells.png")
        >>> boxes, labels = np.array([[60, 10, 100, 40]], "float32"), np.array([0], "int32")
        >>> dataset = DetectionDataset(
        ...     ("cell",), (Path("cells.png"),), (boxes,), (labels,), (labels > 0,)
        ... )
        >>> tiled = tiled_dataset(dataset, Tiles(80, 0.1))
        >>> [tuple(window) for window in tiled.windows]
        [(0, 0, 80, 60), (70, 0, 150, 60)]
        >>> [boxes.tolist() for boxes in tiled.boxes]
        [[[60.0, 10.0, 80.0, 40.0]], [[0.0, 10.0, 30.0, 40.0]]]
    """
    owners, windows, boxes, kept = [], [], [], []
    for i, path in enumerate(dataset.paths):
        width, height = size_of(path)
        for window in _windows(tiles, height, width):
            inside, rows = _boxes_in(window, dataset.boxes[i])
            owners.append(i)
            windows.append(window)
            boxes.append(inside)
            kept.append(rows)
    tiled = TiledDetectionDataset(
        dataset.class_names,
        tuple(dataset.paths[i] for i in owners),
        tuple(boxes),
        tuple(dataset.labels[i][rows] for i, rows in zip(owners, kept, strict=True)),
        tuple(dataset.ignored[i][rows] for i, rows in zip(owners, kept, strict=True)),
        tuple(windows),
    )
    return tiled.take(_in_proportion(tiled))


def _windows(tiles: Tiles, height: int, width: int) -> list[Window]:
    windows = tiles.windows(height, width)
    if tiles.with_whole and len(windows) > 1:
        windows.append(Window(0, 0, width, height))
    return windows


def _boxes_in(window: Window, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the boxes in a tile, in pixels of it, and their indices."""
    left, top, right, bottom = window
    moved = boxes - np.array([left, top] * 2, "float32")
    size = np.array([right - left, bottom - top], "float32")
    is_whole = (moved[:, :2] >= 0).all(axis=1) & (moved[:, 2:] <= size).all(axis=1)
    cut = np.flatnonzero(~is_whole)
    areas = (moved[cut, 2:] - moved[cut, :2]).prod(axis=1)
    clipped, visible = clip_boxes(moved[cut], cut, areas, (bottom - top, right - left))
    moved[visible] = clipped
    rows = np.sort(np.concatenate([np.flatnonzero(is_whole), visible]))
    return moved[rows], rows


def _in_proportion(tiled: TiledDetectionDataset) -> np.ndarray:
    """Return the indices of all tiles with a box, and of evenly chosen ones without."""
    counts = np.array([(~ignored).sum() for ignored in tiled.ignored])
    with_box, empty = np.flatnonzero(counts), np.flatnonzero(counts == 0)
    most = round(MAX_BACKGROUND * len(with_box))
    if with_box.size and len(empty) > most:
        empty = empty[np.arange(most) * len(empty) // most]
    return np.sort(np.concatenate([with_box, empty]))
