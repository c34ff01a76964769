"""`TrackPainter`: pictures of tracked objects with their ids, traces, lines and zones."""

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cspdarknet.inference.tracks import NO_TRACK
from cspdarknet.visualize import class_color, draw_boxes

if TYPE_CHECKING:
    from cspdarknet.detections import Detections
    from cspdarknet.inference.counts import Counts

TRACE_FRAMES = 30
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
Size = tuple[int, int]


@dataclass(frozen=True)
class _Tracks:
    """Tracked objects as `draw_boxes` takes them: each id is a class, with a color and a name."""

    xyxy: np.ndarray
    confidence: np.ndarray
    class_id: np.ndarray
    image_size: tuple[int, int]
    class_names: dict[int, str]


class TrackPainter:
    """Draws tracked objects: a box in the color of its id, class and id, and the recent path.

    Detections without a track are not drawn.

    Args:
        counts: lines and zones to draw, with their counts.
        trace_frames: number of frames that the paths go back.

    Example:
        >>> painter, image = TrackPainter(), np.zeros((80, 120, 3), "uint8")
        >>> for x in (10, 20):
        ...     box = [[x, 10, x + 30, 50]]
        ...     detections = Detections(box, [0.9], [0], (80, 120), ("cell",), tracker_id=[3])
        ...     picture = painter.draw(image, detections)
        >>> picture.size
        (120, 80)
    """

    def __init__(self, counts: "Counts | None" = None, trace_frames: int = TRACE_FRAMES) -> None:
        self._counts, self._trace_frames = counts, trace_frames
        self._frame = 0
        self._traces: dict[int, deque[tuple[int, tuple[float, float]]]] = {}

    def draw(self, image: np.ndarray, detections: "Detections") -> Image.Image:
        """Draw the objects of the next frame.

        Args:
            image: the frame, a uint8 array `(height, width, 3)`, RGB.
            detections: its detections, with a `tracker_id`.

        Returns:
            A new Pillow image of the same size.
        """
        assert detections.tracker_id is not None
        objects = detections[detections.tracker_id != NO_TRACK]
        assert objects.tracker_id is not None
        self._extend_traces(objects)
        names = {
            item.tracker_id: f"{item.class_name or item.class_id} #{item.tracker_id}"
            for item in objects
            if item.tracker_id is not None
        }
        tracks = _Tracks(
            *(objects.xyxy, objects.confidence, objects.tracker_id), objects.image_size, names
        )
        picture = draw_boxes(image, tracks, show_confidence=False)
        draw = ImageDraw.Draw(picture)
        width = max(2, round(max(picture.size) / 320))
        for tracker_id, trace in self._traces.items():
            points = [point for _, point in trace]
            if len(points) > 1:
                draw.line(points, fill=class_color(tracker_id), width=width, joint="curve")
        if self._counts is not None:
            _draw_counts(draw, self._counts, width, picture.size)
        return picture

    def _extend_traces(self, objects: "Detections") -> None:
        """Add the centers of the boxes to the paths, and shorten these."""
        self._frame += 1
        assert objects.tracker_id is not None
        centers = (objects.xyxy[:, :2] + objects.xyxy[:, 2:]) / 2
        for tracker_id, (x, y) in zip(objects.tracker_id.tolist(), centers.tolist(), strict=True):
            self._traces.setdefault(tracker_id, deque()).append((self._frame, (x, y)))
        first = self._frame - self._trace_frames
        for tracker_id, trace in list(self._traces.items()):
            while trace and trace[0][0] <= first:
                trace.popleft()
            if not trace:
                del self._traces[tracker_id]


def _draw_counts(draw: ImageDraw.ImageDraw, counts: "Counts", width: int, size: Size) -> None:
    """Draw lines and zones with their counts: at the middle of a line, the first corner of a zone.

    Args:
        draw: the drawing.
        counts: the counts.
        width: of the lines, in pixels.
        size: width and height of the picture.
    """
    font = ImageFont.load_default(size=max(12, round(max(size) / 40)))
    numbers = counts.to_json()
    for points, count in zip(counts.lines, numbers["lines"], strict=True):
        _draw_path(draw, points, width)
        text = f"in {count['in']}  out {count['out']}"
        _draw_text(draw, points.mean(axis=0), text, font, size)
    for points, count in zip(counts.zones, numbers["zones"], strict=True):
        _draw_path(draw, np.concatenate([points, points[:1]]), width)
        text = f"{count['objects']} now, {count['total']} in all"
        _draw_text(draw, points[0], text, font, size)


def _draw_path(draw: ImageDraw.ImageDraw, points: np.ndarray, width: int) -> None:
    corners = [(float(x), float(y)) for x, y in points]
    draw.line(corners, fill="black", width=width + 2)
    draw.line(corners, fill="white", width=width)


def _draw_text(
    draw: ImageDraw.ImageDraw, center: np.ndarray, text: str, font: Font, size: Size
) -> None:
    """Draw a text on a black rectangle around a point, or as close to it as the picture allows."""
    x1, y1, x2, y2 = draw.textbbox((0, 0), text, font=font, anchor="mm")
    low, high = np.array([3 - x1, 3 - y1]), np.array([size[0] - x2 - 3, size[1] - y2 - 3])
    x, y = np.maximum(low, np.minimum(center, high)).tolist()
    draw.rectangle((x + x1 - 3, y + y1 - 3, x + x2 + 3, y + y2 + 3), fill="black")
    draw.text((x, y), text, fill="white", font=font, anchor="mm")
