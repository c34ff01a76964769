"""Evaluation of classifiers and detectors on datasets with annotations."""

from cspdarknet.evaluate.average_precision import AveragePrecision, mean_average_precision
from cspdarknet.evaluate.classification import (
    ClassificationEvaluation,
    evaluate_classifier,
    wilson_interval,
)
from cspdarknet.evaluate.detection import (
    EVALUATION_OPTIONS,
    DetectionEvaluation,
    evaluate_detector,
)

__all__ = [
    "EVALUATION_OPTIONS",
    "AveragePrecision",
    "ClassificationEvaluation",
    "DetectionEvaluation",
    "evaluate_classifier",
    "evaluate_detector",
    "mean_average_precision",
    "wilson_interval",
]
