"""Inference on images and videos: features, class probabilities and detections.

Each name is imported on use: a `Predictor` of an exported file needs neither Keras nor a backend.
"""

from typing import TYPE_CHECKING

from cspdarknet._lazy import lazy_names

if TYPE_CHECKING:
    from cspdarknet.inference.benchmark import benchmark_runtimes
    from cspdarknet.inference.detect import ObjectDetector
    from cspdarknet.inference.features import FeatureExtractor
    from cspdarknet.inference.predictor import Predictor

__all__ = ["FeatureExtractor", "ObjectDetector", "Predictor", "benchmark_runtimes"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "FeatureExtractor": "features",
        "benchmark_runtimes": "benchmark",
        "ObjectDetector": "detect",
        "Predictor": "predictor",
    },
)
