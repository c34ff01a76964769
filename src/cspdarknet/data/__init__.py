"""Datasets of annotated images: loading, checking, augmentation and training batches."""

from cspdarknet.data.check import check_images
from cspdarknet.data.classification.augment import ClassificationAugmentation
from cspdarknet.data.classification.dataset import (
    ClassificationDataset,
    ClassificationSplits,
    MultiLabelDataset,
)
from cspdarknet.data.classification.find import (
    load_classification_dataset,
    load_classification_split,
)
from cspdarknet.data.classification.multi_label_source import MultiLabelSource
from cspdarknet.data.classification.source import ClassificationSource
from cspdarknet.data.dataset import EvaluationSplit
from cspdarknet.data.detection.augment import DetectionAugmentation
from cspdarknet.data.detection.dataset import DetectionDataset, DetectionSplits
from cspdarknet.data.detection.find import load_detection_dataset, load_detection_split
from cspdarknet.data.detection.source import DetectionSource
from cspdarknet.data.detection.transforms import DetectionSample
from cspdarknet.data.doctor import DatasetCheck, check_dataset
from cspdarknet.data.pipeline import training_batches
from cspdarknet.data.problems import Problem
from cspdarknet.data.read import read_dataset, recognized_task
from cspdarknet.data.regression.dataset import RegressionDataset, RegressionSplits
from cspdarknet.data.regression.find import load_regression_dataset, load_regression_split
from cspdarknet.data.regression.source import RegressionSource
from cspdarknet.data.summary import summary
from cspdarknet.data.writers import (
    PackedDataset,
    WrittenDataset,
    convert_dataset,
    pack_dataset,
    split_dataset,
    verify_pack,
)

__all__ = [
    "ClassificationAugmentation",
    "ClassificationDataset",
    "ClassificationSource",
    "ClassificationSplits",
    "DatasetCheck",
    "DetectionAugmentation",
    "DetectionDataset",
    "DetectionSample",
    "DetectionSource",
    "DetectionSplits",
    "EvaluationSplit",
    "MultiLabelDataset",
    "MultiLabelSource",
    "PackedDataset",
    "Problem",
    "RegressionDataset",
    "RegressionSource",
    "RegressionSplits",
    "WrittenDataset",
    "check_dataset",
    "check_images",
    "convert_dataset",
    "load_classification_dataset",
    "load_classification_split",
    "load_detection_dataset",
    "load_detection_split",
    "load_regression_dataset",
    "load_regression_split",
    "pack_dataset",
    "read_dataset",
    "recognized_task",
    "split_dataset",
    "summary",
    "training_batches",
    "verify_pack",
]
