"""Merging of the detections in overlapping tiles into those of the whole image.

What one tile cuts another one shows whole, or shows the rest of. Three steps follow from that:

1. A box that an inner border of its tile cuts is dropped where another tile shows more of it.
2. Boxes of different tiles are of one object if they agree in the region that both tiles show.
   Each tile has one box of an object, so that objects in a crowd are kept apart.
3. An object is given by the mean of its boxes that no border cuts, and of their confidences, which
   is closer to the truth than each of them; by the union of the parts of it, if all of its boxes
   are cut, as are those of an object that is longer than the overlap. The whole image, shrunk,
   counts by its confidence only, if that is higher, and by its box where the tiles show parts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from cspdarknet.detections import Detections
from cspdarknet.tiles import Window

# Distance from an inner border, as a fraction of the tile's side, below which a box is cut by it.
# A detector is wrong by some pixels about where a cut object ends.
MARGIN = 1 / 64
# Least IoU of two boxes of one object, in the region that both of their tiles show.
MIN_AGREEMENT = 0.5
# Least confidence of an uncut box, relative to that of a cut one, to stand for the same object.
MIN_CONFIDENCE_RATIO = 0.5
MAX_PAIRS = 200_000  # of boxes that are compared at once, which bounds the memory
OUTWARD = np.array([-1.0, -1.0, 1.0, 1.0])  # direction of the four sides of a box


@dataclass(frozen=True, eq=False)
class _Boxes:
    """The boxes of all tiles, in pixels of the image.

    Attributes:
        xyxy: float array `(n, 4)`, clipped to the inner borders of their tiles.
        confidence: float array `(n,)`.
        class_id: int array `(n,)`.
        tile: int array `(n,)`, the index of each box's tile.
        cut: bool array `(n, 4)`, the sides where an inner border cuts a box.
        windows: float array `(tiles, 4)`.
        inner: bool array `(tiles, 4)`, the sides of the tiles that are not borders of the image.
        class_agnostic: whether boxes of different classes may be of one object.
    """

    xyxy: np.ndarray
    confidence: np.ndarray
    class_id: np.ndarray
    tile: np.ndarray
    cut: np.ndarray
    windows: np.ndarray
    inner: np.ndarray
    class_agnostic: bool

    def take(self, rows: np.ndarray) -> "_Boxes":
        """Return some of the boxes, given by a bool or integer array."""
        names = ("xyxy", "confidence", "class_id", "tile", "cut")
        return replace(self, **{name: getattr(self, name)[rows] for name in names})

    @cached_property
    def is_cut(self) -> np.ndarray:
        """Which boxes are cut at any side."""
        return np.asarray(self.cut.any(axis=1))

    @cached_property
    def shows_whole(self) -> np.ndarray:
        """Which tiles are the whole image, shrunk."""
        return np.asarray(~self.inner.any(axis=1))


def merge_tiles(
    detections: Sequence[Detections],
    windows: Sequence[Window],
    image_size: tuple[int, int],
    class_agnostic: bool = False,
    average: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Merge the detections in tiles into those of the image.

    Args:
        detections: the detections in each tile, in pixels of the tile.
        windows: the tiles. One that is the whole image cuts nothing.
        image_size: height and width of the image, in pixels.
        class_agnostic: whether boxes of different classes may be of one object.
        average: for tiles that all are the whole image: whether to average the confidence of an
            object over all tiles, too, which is 0 where it is not detected: weighted boxes fusion
            (https://arxiv.org/abs/1910.13302).

    Returns:
        Boxes `(n, 4)` in pixels of the image, confidence and class id `(n,)`, in descending order
        of the confidence.

    Example:
        >>> windows = Window(0, 0, 100, 100), Window(80, 0, 180, 100)
        >>> left = Detections([[60, 10, 100, 50]], [0.8], [0], (100, 100))  # cut at the right
        >>> right = Detections([[0, 10, 70, 50]], [0.9], [0], (100, 100))  # cut at the left
        >>> merge_tiles([left, right], windows, (100, 180))[0]
        array([[ 60.,  10., 150.,  50.]], dtype=float32)
    """
    boxes = _in_image(detections, windows, image_size, class_agnostic)
    if len(windows) > 1:
        boxes = boxes.take(~_is_shown_better(boxes, _margin(windows)))
        boxes = _merged(boxes, average)
    order = np.argsort(-boxes.confidence, kind="stable")
    return boxes.xyxy[order].astype("float32"), boxes.confidence[order], boxes.class_id[order]


def _margin(windows: Sequence[Window]) -> float:
    return MARGIN * max(max(w.right - w.left, w.bottom - w.top) for w in windows[:1])


def _in_image(
    detections: Sequence[Detections],
    windows: Sequence[Window],
    image_size: tuple[int, int],
    class_agnostic: bool,
) -> _Boxes:
    """Return all boxes in pixels of the image, clipped where another tile shows what follows."""
    edges = np.array(windows, "float64").reshape(-1, 4)
    height, width = image_size
    inner = edges * OUTWARD < np.array([0, 0, width, height])
    tile = np.repeat(np.arange(len(detections)), [len(item) for item in detections])
    xyxy = np.concatenate([item.xyxy for item in detections]).astype("float64")
    xyxy += np.tile(edges[tile, :2], 2)
    outward = xyxy * OUTWARD
    limits = np.where(inner, edges * OUTWARD, np.inf)[tile]
    cut = outward > limits - _margin(windows)
    clipped = np.minimum(outward, limits) * OUTWARD
    boxes = _Boxes(
        clipped,
        np.concatenate([item.confidence for item in detections]),
        np.concatenate([item.class_id for item in detections]),
        tile,
        cut,
        edges,
        inner,
        class_agnostic,
    )
    # A box beyond the border of its tile is seen by another tile.
    return boxes.take((clipped[:, 2:] > clipped[:, :2]).all(axis=1) | ~boxes.is_cut)


def _is_shown_better(boxes: _Boxes, margin: float) -> np.ndarray:
    """Return which cut boxes another tile shows more of, without a cut where they have none."""
    result = np.zeros(len(boxes.xyxy), bool)
    is_cut = boxes.is_cut
    outward = boxes.windows * OUTWARD
    for tile in np.unique(boxes.tile[is_cut]):
        rows = np.flatnonzero(is_cut & (boxes.tile == tile))
        # The whole image is shrunk: small objects may be missing.
        others = np.flatnonzero(_overlapping(boxes.windows, tile) & ~boxes.shows_whole)
        ends = (boxes.xyxy[rows] * OUTWARD)[:, None]
        cut = boxes.cut[rows][:, None]
        beyond = outward[others] - outward[tile]
        # Twice the margin, so that two tiles never leave a box to each other.
        is_inside = ~boxes.inner[others] | (ends <= outward[others] - 2 * margin)
        fits = np.where(cut, beyond >= 0, is_inside).all(axis=2)
        result[rows] = (fits & (cut & (beyond > 0)).any(axis=2)).any(axis=1)
    return result


def _overlapping(windows: np.ndarray, tile: int) -> np.ndarray:
    """Return which other windows have pixels in common with one."""
    low = np.maximum(windows[:, :2], windows[tile, :2])
    high = np.minimum(windows[:, 2:], windows[tile, 2:])
    found: np.ndarray = (low < high).all(axis=1)
    found[tile] = False
    return found


def _merged(boxes: _Boxes, average: bool) -> _Boxes:
    """Return one box for each object."""
    neighbors: dict[int, list[int]] = {}
    for i, j in _agreeing(boxes):
        neighbors.setdefault(i, []).append(j)
        neighbors.setdefault(j, []).append(i)
    is_cut, confidence = boxes.is_cut, boxes.confidence.tolist()
    is_shrunk = boxes.shows_whole[boxes.tile]
    taken: set[int] = set()
    keep = np.ones(len(is_cut), bool)
    xyxy, total = boxes.xyxy.copy(), boxes.confidence.copy()
    for seed in sorted(neighbors, key=lambda i: (-confidence[i], i)):
        if seed in taken:
            continue
        group = _group(seed, neighbors, taken, boxes.tile, is_cut, confidence)
        best = min(group, key=lambda i: (is_cut[i], is_shrunk[i], -confidence[i]))
        keep[group] = False
        keep[best] = True
        if is_cut[best]:
            parts = boxes.xyxy[group]
            xyxy[best, :2], xyxy[best, 2:] = parts[:, :2].min(axis=0), parts[:, 2:].max(axis=0)
            total[best] = confidence[seed]
        else:
            equal = [i for i in group if not is_cut[i] and is_shrunk[i] == is_shrunk[best]]
            xyxy[best], mean = _mean(boxes, equal)
            total[best] = max([mean, *(confidence[i] for i in group if is_shrunk[i])])
        if average:
            total[best] = boxes.confidence[group].sum()
    merged = replace(boxes, xyxy=xyxy, confidence=total / (len(boxes.windows) if average else 1))
    return merged.take(keep)


def _mean(boxes: _Boxes, rows: list[int]) -> tuple[np.ndarray, float]:
    """Return the mean of some uncut boxes, and of their confidences.

    The weights are the distances from the next inner border, beyond which the detector saw nothing;
    for the boxes, these distances times the confidences.
    """
    xyxy, confidence, tiles = boxes.xyxy[rows], boxes.confidence[rows], boxes.tile[rows]
    if len(rows) == 1:
        return xyxy[0], float(confidence[0])
    windows = boxes.windows[tiles]
    half = (windows[:, 2:] - windows[:, :2]).min(axis=1) / 2
    distances = np.where(boxes.inner[tiles], (windows - xyxy) * OUTWARD, np.inf).min(axis=1)
    least = np.finfo("float32").tiny
    weights = np.maximum(np.minimum(distances / half, 1), least)
    mean = np.average(xyxy, axis=0, weights=np.maximum(weights * confidence, least))
    return mean, float(np.average(confidence, weights=weights))


def _group(
    seed: int,
    neighbors: dict[int, list[int]],
    taken: set[int],
    tile: np.ndarray,
    is_cut: np.ndarray,
    confidence: list[float],
) -> list[int]:
    """Return the boxes of one object, at most one of each tile; parts lead to further parts."""
    group, tiles = [seed], {int(tile[seed])}
    taken.add(seed)
    for member in group:  # which grows
        if member != seed and not (is_cut[member] and is_cut[seed]):
            continue
        for other in sorted(neighbors[member], key=lambda i: (-confidence[i], i)):
            if other not in taken and int(tile[other]) not in tiles:
                group.append(other)
                tiles.add(int(tile[other]))
                taken.add(other)
    return group


def _agreeing(boxes: _Boxes) -> Iterator[tuple[int, int]]:
    """Yield pairs of boxes of different tiles that may be of one object."""
    left, top, right, bottom = boxes.xyxy.T.astype("float32")
    for tile in np.unique(boxes.tile):
        others = _overlapping(boxes.windows, tile) & (np.arange(len(boxes.windows)) < tile)
        rows = np.flatnonzero(others[boxes.tile])
        x1, y1, x2, y2 = boxes.windows[tile]
        is_near = (left[rows] < x2) & (right[rows] > x1) & (top[rows] < y2) & (bottom[rows] > y1)
        own, earlier = np.flatnonzero(boxes.tile == tile), rows[is_near]
        for part in np.array_split(own, 1 + len(own) * len(earlier) // MAX_PAIRS):
            touching = (left[part, None] < right[earlier]) & (right[part, None] > left[earlier])
            touching &= (top[part, None] < bottom[earlier]) & (bottom[part, None] > top[earlier])
            first, second = np.nonzero(touching)
            a, b = part[first], earlier[second]
            may_be_one = _may_be_one(boxes, a, b)
            a, b = a[may_be_one], b[may_be_one]
            agree = _agreement(boxes, a, b) >= MIN_AGREEMENT
            yield from zip(a[agree].tolist(), b[agree].tolist(), strict=True)


def _may_be_one(boxes: _Boxes, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return which pairs may be of one object, by their classes and confidences.

    Of a cut object, a detector may tell the wrong class; and it may detect next to nothing whole.
    """
    is_cut = boxes.is_cut
    first, second = boxes.confidence[a], boxes.confidence[b]
    whole_a, whole_b = ~is_cut[a] & is_cut[b], is_cut[a] & ~is_cut[b]
    same_class = (boxes.class_id[a] == boxes.class_id[b]) | boxes.class_agnostic
    found = same_class | (whole_a & (first > second)) | (whole_b & (second > first))
    found &= ~whole_a | (first >= MIN_CONFIDENCE_RATIO * second)
    found &= ~whole_b | (second >= MIN_CONFIDENCE_RATIO * first)
    return np.asarray(found)


def _agreement(boxes: _Boxes, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the IoU of pairs of boxes in the region that both of their tiles show.

    Uncut boxes are compared as they are, also where they extend beyond the image.
    """
    is_clipped = (boxes.is_cut[a] | boxes.is_cut[b])[:, None]
    windows = boxes.windows[boxes.tile[a]], boxes.windows[boxes.tile[b]]
    start = np.maximum(windows[0][:, :2], windows[1][:, :2])
    end = np.minimum(windows[0][:, 2:], windows[1][:, 2:])
    start, end = np.where(is_clipped, start, -np.inf), np.where(is_clipped, end, np.inf)
    low = [np.maximum(boxes.xyxy[rows, :2], start) for rows in (a, b)]
    high = [np.minimum(boxes.xyxy[rows, 2:], end) for rows in (a, b)]
    sides = [high[0] - low[0], high[1] - low[1], np.minimum(*high) - np.maximum(*low)]
    (wa, ha), (wb, hb), (w, h) = (np.maximum(side, 0).T for side in sides)
    union = wa * ha + wb * hb - w * h
    return np.divide(w * h, union, out=np.zeros_like(union), where=union > 0)
