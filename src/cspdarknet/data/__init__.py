"""Photos with labels or boxes: find them, check them, augment them, and feed them in batches."""

from cspdarknet.data.annotated import Problem
from cspdarknet.data.augment import Augmentation
from cspdarknet.data.boxed import BoxedPhotos, BoxedSplits
from cspdarknet.data.check import Skipped, check_photos
from cspdarknet.data.detection_augment import DetectionAugmentation
from cspdarknet.data.detection_source import DetectionSource
from cspdarknet.data.find_boxed import BoxedPart, find_boxed_photos, find_boxes_of_classes
from cspdarknet.data.labelled import LabelledPhotos, Splits, find_labelled_photos
from cspdarknet.data.pipeline import TrainingSource, evaluation_batches, training_batches

__all__ = [
    "Augmentation",
    "BoxedPart",
    "BoxedPhotos",
    "BoxedSplits",
    "DetectionAugmentation",
    "DetectionSource",
    "LabelledPhotos",
    "Problem",
    "Skipped",
    "Splits",
    "TrainingSource",
    "check_photos",
    "evaluation_batches",
    "find_boxed_photos",
    "find_boxes_of_classes",
    "find_labelled_photos",
    "training_batches",
]
