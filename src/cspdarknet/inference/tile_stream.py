"""Large images through a predictor of detections, as tiles."""

import functools
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from cspdarknet._image_size import ImageSize
from cspdarknet._prefetch import thread_pool
from cspdarknet.detections import Detections
from cspdarknet.images import RGB, ImageError, as_picture
from cspdarknet.inference.large_images import ImageStrips, open_strips
from cspdarknet.inference.tiles import merge_tiles
from cspdarknet.model_info import ModelInfo
from cspdarknet.tiles import Tiles, Window, check_tiles
from cspdarknet.yolox.letterbox import StripResizer, fitted_size


@dataclass(eq=False)
class TiledImage:
    """An image whose tiles are on their way.

    Attributes:
        given: the image as it was given.
        strips: the image; an error, if it cannot be read.
        windows: the tiles that were given to the predictor.
        detections: the detections in them.
        pixels: the whole image; that of a large one, shrunk, after its last tile.
    """

    given: Any
    strips: ImageStrips | ImageError
    windows: list[Window] = field(default_factory=list)
    detections: list[Detections] = field(default_factory=list)
    pixels: np.ndarray | None = None


class Tile(NamedTuple):
    """A tile of an image.

    Attributes:
        image: its image.
        pixels: uint8 array `(height, width, 3)`; the error if the image cannot be read; `None`
            after the pixels were given to the model.
        ratio: factor by which the pixels were shrunk.
        is_last: whether it is the last tile of the image.
    """

    image: TiledImage
    pixels: np.ndarray | ImageError | None
    ratio: float = 1.0
    is_last: bool = True


def tiles_for(info: ModelInfo, tiles: Any) -> Tiles | None:
    """Return the options of tiles, which must be for a detector, or `None` if they are not given.

    Raises:
        ValueError: if they do not fit the model.
    """
    checked = check_tiles(tiles)
    if checked is not None and (info.task != "detection" or info.raw_outputs):
        received = "a detector with raw outputs" if info.raw_outputs else f"a model for {info.task}"
        raise ValueError(
            f"`tiles` are for detectors with boxes. Received: {tiles}, and {received}: leave tiles "
            "out."
        )
    return checked


PICTURE_SIDE = 2048  # longer side of the pixels of an image that is not decoded whole
Predict = Callable[[Iterator[Tile]], Generator[tuple[Any, ...], None, None]]


def stream_tiles(
    predict: Predict,
    images: Iterable[Any],
    tiles: Tiles,
    info: ModelInfo,
    with_pixels: bool,
) -> Generator[tuple[Any, ...], None, None]:
    """Detect objects in the tiles of images, and yield the results of whole images, in order.

    The next image is decoded while the tiles of one are detected.

    Args:
        predict: yields `(tile, detections)` for each tile, in order, and an `ImageError` in place
            of the detections for a tile without pixels.
        images: the images, as for `Predictor.stream`.
        tiles: the options of the tiles.
        info: the detector's.
        with_pixels: whether to yield the pixels, too.
    """
    sizes = info.image_size or tiles.size, PICTURE_SIDE if with_pixels else None
    opened = functools.partial(open_strips, channels=info.channels)
    with closing(predict(_tiles_of(images, tiles, opened, *sizes))) as results:
        for tile, result, *_ in results:
            image = tile.image
            if not isinstance(result, ImageError):
                image.detections.append(_enlarged(result, tile.ratio))
                if not tile.is_last:
                    continue
                result = _merge(image, info.class_agnostic_nms)
            pixels = None if isinstance(result, ImageError) else image.pixels
            if pixels is not None and info.channels != RGB:
                pixels = as_picture(pixels)
            yield (image.given, result, pixels) if with_pixels else (image.given, result)


def _tiles_of(
    images: Iterable[Any],
    tiles: Tiles,
    open_image: Callable[[Any], ImageStrips],
    image_size: ImageSize,
    picture_side: int | None,
) -> Iterator[Tile]:
    """Yield the tiles of all images; of one that cannot be read, one tile with the error."""

    def opened(given: Any) -> TiledImage:
        try:
            return TiledImage(given, open_image(given))
        except ImageError as error:
            return TiledImage(given, error)

    with thread_pool(1) as pool:
        for image in _one_ahead(opened, images, pool):
            if isinstance(image.strips, ImageError):
                yield Tile(image, image.strips)
                continue
            with closing(image.strips):
                try:
                    yield from _tiles_of_one(image, image.strips, tiles, image_size, picture_side)
                except ImageError as error:
                    yield Tile(image, error)


def _one_ahead(
    function: Callable[[Any], TiledImage], items: Iterable[Any], pool: ThreadPoolExecutor
) -> Iterator[TiledImage]:
    """Apply a function to items; the next item is always on its way, and no more than that.

    An error of the items comes after the results of those before it.
    """
    waiting: Future[TiledImage] | None = None
    failure: Exception | None = None
    source = iter(items)
    while failure is None:
        following = None
        try:
            following = pool.submit(function, next(source))
        except Exception as error:  # also the end of the items
            failure = error
        if waiting is not None:
            yield waiting.result()
        waiting = following
    if not isinstance(failure, StopIteration):
        raise failure


def _tiles_of_one(
    image: TiledImage,
    strips: ImageStrips,
    tiles: Tiles,
    image_size: ImageSize,
    picture_side: int | None,
) -> Iterator[Tile]:
    windows = tiles.windows(*strips.size)
    adds_whole = tiles.with_whole and len(windows) > 1
    image.windows = [*windows, Window(0, 0, *strips.size[::-1])] if adds_whole else windows
    image.pixels = strips.pixels
    is_whole = strips.pixels is not None
    whole = _Shrunk(strips.size, image_size) if adds_whole and not is_whole else None
    picture = _Shrunk(strips.size, picture_side) if picture_side and not is_whole else None
    for i, window in enumerate(windows):
        rows = strips.rows(window.top, window.bottom)
        for shrunk in (whole, picture):
            if shrunk is not None and window.left == 0:
                shrunk.add(window.top, rows)
        is_last = i + 1 == len(windows)
        if picture is not None and is_last:
            image.pixels = picture.result()
        yield Tile(image, rows[:, window.left : window.right], 1.0, is_last and not adds_whole)
    if adds_whole and strips.pixels is not None:
        yield Tile(image, strips.pixels)
    elif whole is not None:
        yield Tile(image, whole.result(), whole.ratio)


class _Shrunk(StripResizer):
    """An image that is read in strips, shrunk to fit a size."""

    def __init__(self, size: tuple[int, int], limit: ImageSize) -> None:
        height, width, self.ratio = fitted_size(*size, limit)
        if self.ratio > 1:
            (height, width), self.ratio = size, 1.0
        super().__init__(size[0], height, width)


def _enlarged(detections: Detections, ratio: float) -> Detections:
    if ratio == 1:
        return detections
    boxes = detections.xyxy / np.float32(ratio)
    return Detections(boxes, detections.confidence, detections.class_id, detections.image_size)


def _merge(image: TiledImage, class_agnostic: bool) -> Detections:
    assert not isinstance(image.strips, ImageError)
    first = image.detections[0]
    path = Path(image.given) if isinstance(image.given, (str, Path)) else None
    size = image.strips.size
    arrays = merge_tiles(image.detections, image.windows, size, class_agnostic)
    return Detections(*arrays, size, first.class_names, path)
