"""Inference on images and videos: features, class probabilities and detections.

Each name is imported on use: a `Predictor` of an exported file needs neither Keras nor a backend.
"""

from typing import TYPE_CHECKING

from cspdarknet._lazy import lazy_names

if TYPE_CHECKING:
    from cspdarknet.inference.augmented import Augment
    from cspdarknet.inference.benchmark import benchmark_runtimes
    from cspdarknet.inference.counts import Counts
    from cspdarknet.inference.detect import ObjectDetector
    from cspdarknet.inference.features import FeatureExtractor
    from cspdarknet.inference.predictor import Predictor
    from cspdarknet.inference.streams import FrameStream, detect_frames
    from cspdarknet.inference.track_pictures import TrackPainter
    from cspdarknet.inference.tracks import Tracker, track

__all__ = [
    "Augment",
    "Counts",
    "FeatureExtractor",
    "FrameStream",
    "ObjectDetector",
    "Predictor",
    "TrackPainter",
    "Tracker",
    "benchmark_runtimes",
    "detect_frames",
    "track",
]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Augment": "augmented",
        "FeatureExtractor": "features",
        "benchmark_runtimes": "benchmark",
        "ObjectDetector": "detect",
        "Predictor": "predictor",
        "FrameStream": "streams",
        "detect_frames": "streams",
        "Tracker": "tracks",
        "track": "tracks",
        "TrackPainter": "track_pictures",
        "Counts": "counts",
    },
)
