"""Evaluation of classifiers and detectors on datasets with annotations."""

from cspdarknet.evaluate.average_precision import AveragePrecision, mean_average_precision
from cspdarknet.evaluate.calibration import (
    Calibration,
    CalibrationMetrics,
    ReliabilityBin,
    apply_temperature,
    calibrate,
    calibration_metrics,
    fit_temperature,
)
from cspdarknet.evaluate.classification import ClassificationEvaluation, wilson_interval
from cspdarknet.evaluate.classifiers import evaluate_classifier
from cspdarknet.evaluate.detection import (
    DetectionEvaluation,
    evaluate_detector,
    evaluate_predictions,
)
from cspdarknet.evaluate.multi_label import MultiLabelEvaluation
from cspdarknet.evaluate.ordinal import OrdinalEvaluation
from cspdarknet.evaluate.prediction_files import FilePredictions, read_predictions
from cspdarknet.evaluate.predictions import (
    EVALUATION_OPTIONS,
    evaluation_predictor,
    stored_score_threshold,
)
from cspdarknet.evaluate.regression import (
    RegressionEvaluation,
    TargetMetrics,
    evaluate_regressor,
)
from cspdarknet.evaluate.thresholds import ClassThreshold, Criterion, score_threshold_of

__all__ = [
    "EVALUATION_OPTIONS",
    "AveragePrecision",
    "Calibration",
    "CalibrationMetrics",
    "ClassThreshold",
    "ClassificationEvaluation",
    "Criterion",
    "DetectionEvaluation",
    "FilePredictions",
    "MultiLabelEvaluation",
    "OrdinalEvaluation",
    "RegressionEvaluation",
    "ReliabilityBin",
    "TargetMetrics",
    "apply_temperature",
    "calibrate",
    "calibration_metrics",
    "evaluate_classifier",
    "evaluate_detector",
    "evaluate_predictions",
    "evaluate_regressor",
    "evaluation_predictor",
    "fit_temperature",
    "mean_average_precision",
    "read_predictions",
    "score_threshold_of",
    "stored_score_threshold",
    "wilson_interval",
]
