"""Counts of tracked objects that cross lines and that are in zones."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cspdarknet._arguments import MAX_IMAGE_SIZE
from cspdarknet._extras import require
from cspdarknet.inference.tracks import NO_TRACK

if TYPE_CHECKING:
    from cspdarknet.detections import Detections

MEMORY = 1000  # frames after which the id of an object that is not seen is forgotten
Points = Sequence[tuple[float, float]]


class Counts:
    """Counts objects that cross lines and that are in zones, by `supervision`.

    The center of a box decides where an object is. Each crossing of a line counts: `in` for those
    to the left of the line, as seen from its first point to its second, and `out` for those to the
    right. Detections without a track do not count.

    Args:
        lines: two points `(x, y)` for each line, in pixels.
        zones: three or more points `(x, y)` for each zone, in pixels: the corners of a polygon.

    Raises:
        ValueError: if there are too few points, or they are out of range.
        ImportError: if supervision is missing.

    Example:
        >>> square = [(0, 0), (99, 0), (99, 99), (0, 99)]
        >>> counts = Counts(lines=[[(50, 0), (50, 99)]], zones=[square])
        >>> for x in (20, 40, 60):
        ...     box = [[x, 10, x + 10, 20]]
        ...     counts.update(Detections(box, [0.9], [0], (100, 100), tracker_id=[7]))
        >>> counts.to_json()
        {'lines': [{'in': 1, 'out': 0}], 'zones': [{'objects': 1, 'total': 1}]}
    """

    def __init__(self, lines: Sequence[Points] = (), zones: Sequence[Points] = ()) -> None:
        self.lines = [check_points("line", points) for points in lines]
        self.zones = [check_points("zone", points) for points in zones]
        supervision: Any = require("supervision", "track", "Counting")
        center = [supervision.Position.CENTER]
        self._lines = [
            supervision.LineZone(
                *(supervision.Point(*point) for point in points.tolist()), triggering_anchors=center
            )
            for points in self.lines
        ]
        self._zones = [
            supervision.PolygonZone(np.rint(points).astype("int64"), triggering_anchors=center)
            for points in self.zones
        ]
        self._frame = 0
        # The frame in which each object was last seen, and the objects that each zone has counted.
        self._seen: dict[int, int] = {}
        self._counted: list[set[int]] = [set() for _ in self.zones]
        self._totals = [0] * len(self.zones)

    def update(self, detections: "Detections") -> None:
        """Count the objects of the next frame.

        Args:
            detections: the detections with their `tracker_id`.

        Raises:
            ValueError: if they have none, or a line or zone is outside the image.
        """
        if detections.tracker_id is None:
            raise ValueError(
                "`detections` must have a `tracker_id`. Received: detections without tracking."
            )
        if not self._frame:
            self._check_inside(detections.image_size)
        self._frame += 1
        objects = detections[detections.tracker_id != NO_TRACK]
        given = objects.to_supervision()
        for line in self._lines:
            line.trigger(given)
        assert objects.tracker_id is not None
        self._remember(objects.tracker_id)
        for i, zone in enumerate(self._zones):
            inside = set(objects.tracker_id[zone.trigger(given)].tolist())
            self._totals[i] += len(inside - self._counted[i])
            self._counted[i] |= inside

    def to_json(self) -> dict[str, list[dict[str, int]]]:
        """Return the counts so far.

        Returns:
            A dict of `"lines"`, with the crossings `"in"` and `"out"` of each, and `"zones"`, with
            the number of `"objects"` in each at present, and the `"total"` of those that have been
            in it.
        """
        return {
            "lines": [{"in": line.in_count, "out": line.out_count} for line in self._lines],
            "zones": [
                {"objects": zone.current_count, "total": total}
                for zone, total in zip(self._zones, self._totals, strict=True)
            ],
        }

    def _check_inside(self, image_size: tuple[int, int]) -> None:
        height, width = image_size
        for points in (*self.lines, *self.zones):
            if (points.max(axis=0) < 0).any() or (points.min(axis=0) > (width, height)).any():
                raise ValueError(
                    f"Lines and zones must lie in the image, of {width} x {height} pixels. "
                    f"Received: {points.tolist()}"
                )

    def _remember(self, ids: np.ndarray) -> None:
        """Note which objects are seen, and forget those that are not for long."""
        self._seen |= dict.fromkeys(ids.tolist(), self._frame)
        if self._frame % MEMORY == 0:
            self._seen = {i: f for i, f in self._seen.items() if f > self._frame - MEMORY}
            self._counted = [counted & self._seen.keys() for counted in self._counted]


def check_points(name: str, points: Any) -> np.ndarray:
    """Return the points of a `line` or a `zone` as a float array `(n, 2)`.

    Raises:
        ValueError: if there are too few, or they are out of range.
    """
    rule = "two different points" if name == "line" else "three or more points"
    array = np.asarray(points, "float64")
    fits = array.ndim == 2 and array.shape[1:] == (2,) and np.isfinite(array).all()
    if fits and name == "line":
        fits = len(array) == 2 and bool((array[0] != array[1]).any())
    elif fits:
        fits = len(array) >= 3
    if not fits or np.abs(array).max() > MAX_IMAGE_SIZE:
        raise ValueError(
            f"A {name} must have {rule} in pixels of the image, each up to {MAX_IMAGE_SIZE}. "
            f"Received: {np.asarray(points).tolist()}"
        )
    return array
