"""Photos with labels: find them, check them, augment them, and feed them in batches."""

from cspdarknet.data.augment import Augmentation
from cspdarknet.data.check import Skipped, check_photos
from cspdarknet.data.labelled import LabelledPhotos, Splits, find_labelled_photos
from cspdarknet.data.pipeline import TrainingSource, evaluation_batches, training_batches

__all__ = [
    "Augmentation",
    "LabelledPhotos",
    "Skipped",
    "Splits",
    "TrainingSource",
    "check_photos",
    "evaluation_batches",
    "find_labelled_photos",
    "training_batches",
]
