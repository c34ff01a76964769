"""Datasets of annotated images: loading, checking, augmentation and training batches."""

from cspdarknet.data.annotations import Problem
from cspdarknet.data.check import check_images
from cspdarknet.data.classification.augment import ClassificationAugmentation
from cspdarknet.data.classification.dataset import ClassificationDataset, ClassificationSplits
from cspdarknet.data.classification.find import (
    load_classification_dataset,
    load_classification_split,
)
from cspdarknet.data.classification.source import ClassificationSource
from cspdarknet.data.dataset import EvaluationSplit
from cspdarknet.data.detection.augment import DetectionAugmentation
from cspdarknet.data.detection.dataset import DetectionDataset, DetectionSplits
from cspdarknet.data.detection.find import load_detection_dataset, load_detection_split
from cspdarknet.data.detection.source import DetectionSource
from cspdarknet.data.detection.transforms import DetectionSample
from cspdarknet.data.pipeline import training_batches

__all__ = [
    "ClassificationAugmentation",
    "ClassificationDataset",
    "ClassificationSource",
    "ClassificationSplits",
    "DetectionAugmentation",
    "DetectionDataset",
    "DetectionSample",
    "DetectionSource",
    "DetectionSplits",
    "EvaluationSplit",
    "Problem",
    "check_images",
    "load_classification_dataset",
    "load_classification_split",
    "load_detection_dataset",
    "load_detection_split",
    "training_batches",
]
