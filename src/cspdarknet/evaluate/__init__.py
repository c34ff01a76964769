"""How good a model is: a classifier on photos by class, a detector on photos with boxes."""

from cspdarknet.evaluate.average_precision import AveragePrecision, mean_average_precision
from cspdarknet.evaluate.classification import (
    ClassificationEvaluation,
    Predictions,
    classify,
    evaluate,
    wilson_interval,
)
from cspdarknet.evaluate.detection import DetectionEvaluation, evaluate_detector

__all__ = [
    "AveragePrecision",
    "DetectionEvaluation",
    "ClassificationEvaluation",
    "Predictions",
    "classify",
    "evaluate",
    "evaluate_detector",
    "mean_average_precision",
    "wilson_interval",
]
