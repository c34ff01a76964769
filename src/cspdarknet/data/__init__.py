"""Photos with labels or boxes: find them, check them, augment them, and feed them in batches."""

from cspdarknet.data.check import Skipped, check_images
from cspdarknet.data.classification.augment import ClassificationAugmentation
from cspdarknet.data.classification.dataset import (
    ClassificationDataset,
    ClassificationSplits,
    load_classification_dataset,
)
from cspdarknet.data.detection.annotations import Problem
from cspdarknet.data.detection.augment import DetectionAugmentation
from cspdarknet.data.detection.dataset import DetectionDataset, DetectionSplits
from cspdarknet.data.detection.find import (
    EvaluationSplit,
    load_detection_dataset,
    load_detection_split,
)
from cspdarknet.data.detection.source import DetectionSource
from cspdarknet.data.pipeline import ClassificationSource, evaluation_batches, training_batches

__all__ = [
    "ClassificationAugmentation",
    "EvaluationSplit",
    "DetectionDataset",
    "DetectionSplits",
    "DetectionAugmentation",
    "DetectionSource",
    "ClassificationDataset",
    "Problem",
    "Skipped",
    "ClassificationSplits",
    "ClassificationSource",
    "check_images",
    "evaluation_batches",
    "load_detection_dataset",
    "load_detection_split",
    "load_classification_dataset",
    "training_batches",
]
