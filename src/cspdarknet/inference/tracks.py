"""Tracking: detections of a video get the ids of the objects that they show."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cspdarknet._arguments import check_choice, check_fraction, check_positive
from cspdarknet._extras import require
from cspdarknet.images import ImageError, as_image_array

if TYPE_CHECKING:
    from cspdarknet.detections import Detections

TRACKERS = {
    "bytetrack": "ByteTrackTracker",
    "ocsort": "OCSORTTracker",
    "botsort": "BoTSORTTracker",
    "sort": "SORTTracker",
}
# Arguments of the package `trackers` that say which detections may begin a track.
THRESHOLDS = {
    "bytetrack": ("track_activation_threshold", "high_conf_det_threshold"),
    "ocsort": ("high_conf_det_threshold",),
    "botsort": ("track_activation_threshold", "high_conf_det_threshold"),
    "sort": ("track_activation_threshold",),
}
NO_TRACK = -1  # id of a detection without a track, as in supervision and trackers
DEFAULT_RATE = 30.0  # frames per second
NO_DISPLAY = (
    "Tracking needs OpenCV, which cannot be imported ({}). On a machine without a display, run "
    "`pip uninstall -y opencv-python` and then `pip install --force-reinstall "
    "opencv-python-headless`."
)


class Tracker:
    """A tracker of the package `trackers` for `Detections`.

    Args:
        name: `"bytetrack"`, `"ocsort"`, `"botsort"` or `"sort"`.
        frame_rate: frames per second of the video. An object that is not seen for a second loses
            its id.
        score_threshold: confidence from which a detection begins a track. By default each one
            does, since the detector has a threshold already. Those below it continue tracks with
            ByteTrack and BoT-SORT, and are ignored by OC-SORT.
        **parameters: other arguments of the tracker's class in `trackers`, such as
            `lost_track_buffer` or `minimum_iou_threshold`.

    Raises:
        ValueError: if an argument is none of the tracker's, or out of range.
        ImportError: if `trackers` is missing, or its OpenCV cannot be imported.

    Example:
        >>> tracker = Tracker("sort", frame_rate=10, minimum_consecutive_frames=1)
        >>> for x in (10, 12, 14):
        ...     detections = Detections([[x, 10, x + 20, 30]], [0.9], [0], (48, 64))
        ...     print(tracker.update(detections).tracker_id)
        [-1]
        [0]
        [0]
    """

    def __init__(
        self,
        name: str = "bytetrack",
        frame_rate: float = DEFAULT_RATE,
        score_threshold: float = 0.0,
        **parameters: Any,
    ) -> None:
        check_choice("tracker", name, tuple(TRACKERS))
        rate = check_positive("frame_rate", frame_rate)
        score = check_fraction("score_threshold", score_threshold)
        parameters = dict.fromkeys(THRESHOLDS[name], score) | parameters
        try:
            trackers: Any = require("trackers", "track", "Tracking")
        except ImportError as error:
            if isinstance(error.__cause__, ModuleNotFoundError):
                raise
            raise ImportError(NO_DISPLAY.format(error)) from error
        try:
            self._tracker = getattr(trackers, TRACKERS[name])(frame_rate=rate, **parameters)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"The parameters must be arguments of trackers.{TRACKERS[name]}. "
                f"Received: {parameters}: {error}"
            ) from error
        self._supervision: Any = require("supervision", "track", "Tracking")
        self._takes_images = name == "botsort"
        self._last_time = -np.inf

    def update(
        self, detections: "Detections", image: Any = None, time: float | None = None
    ) -> "Detections":
        """Return the detections of the next frame with a `tracker_id` for each.

        Args:
            detections: the detections.
            image: the frame, an array `(height, width, 3)`, RGB. BoT-SORT estimates the movement
                of the camera from it; the others ignore it.
            time: time of the frame in seconds, where the intervals between frames vary; in all
                calls or none.

        Returns:
            The same detections in the same order. Those without a track have the id -1, as every
            new object has in its first frames.
        """
        count = len(detections)
        given = self._supervision.Detections(
            xyxy=detections.xyxy.astype("float64"),
            confidence=detections.confidence,
            class_id=detections.class_id,
            data={"row": np.arange(count)},
        )
        options: dict[str, Any] = {}
        if self._takes_images and image is not None:
            options["frame"] = np.ascontiguousarray(as_image_array(image)[..., ::-1])
        if time is not None:
            # Trackers skip the prediction of movement between two frames of the same time.
            self._last_time = max(time, float(np.nextafter(self._last_time, np.inf)))
            options["timestamp"] = self._last_time
        result = self._tracker.update(given, **options)
        ids = np.full(count, NO_TRACK)
        if len(result):
            ids[result.data["row"]] = result.tracker_id
        return replace(detections, tracker_id=ids)


def track(
    stream: Iterable[tuple[Any, ...]], tracker: str | Tracker = "bytetrack", **options: Any
) -> Iterator[tuple[Any, ...]]:
    """Give the detections of successive frames the ids of their tracks.

    Args:
        stream: tuples of a frame and its detections, as those of `detect_frames` and
            `Predictor.stream`.
        tracker: the name of a tracker, or a `Tracker`.
        **options: arguments of `Tracker`, if it is a name.

    Returns:
        An iterator over the same tuples, with detections that have a `tracker_id`. An `ImageError`
        in place of detections remains.

    Raises:
        ValueError: as `Tracker`.
        ImportError: as `Tracker`.

    Example:
        >>> image = np.zeros((48, 64, 3), "uint8")
        >>> stream = (
        ...     (image, Detections([[x, 9, x + 20, 29]], [0.9], [0], (48, 64)))
        ...     for x in range(10, 18, 2)
        ... )
        >>> for image, detections in track(stream, "bytetrack", frame_rate=10):
        ...     print(detections.tracker_id)
        [-1]
        [0]
        [0]
        [0]
    """
    if isinstance(tracker, Tracker):
        if options:
            raise ValueError(
                "`options` must be left out if `tracker` is a Tracker. "
                f"Received: {', '.join(options)}"
            )
        return _tracked(stream, tracker)
    return _tracked(stream, Tracker(tracker, **options))


def _tracked(stream: Iterable[tuple[Any, ...]], tracker: Tracker) -> Iterator[tuple[Any, ...]]:
    for frame, detections, *rest in stream:
        if isinstance(detections, ImageError):
            yield frame, detections, *rest
        else:
            time = getattr(frame, "time", None)
            yield frame, tracker.update(detections, frame, time), *rest
