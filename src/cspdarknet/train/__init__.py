"""Training of classifiers and detectors: recipes, the training loop, and run folders."""

from cspdarknet.train.batch_size import BatchSize, fit_batch_size
from cspdarknet.train.classification import train_classifier
from cspdarknet.train.customize import customize
from cspdarknet.train.detection import train_detector
from cspdarknet.train.recipe import ClassificationRecipe, DetectionRecipe, Phase
from cspdarknet.train.recipes import CLASSIFICATION_RECIPES, DETECTION_RECIPES, load_recipe
from cspdarknet.train.teacher import Teacher

__all__ = [
    "CLASSIFICATION_RECIPES",
    "DETECTION_RECIPES",
    "BatchSize",
    "ClassificationRecipe",
    "DetectionRecipe",
    "Phase",
    "Teacher",
    "customize",
    "fit_batch_size",
    "load_recipe",
    "train_classifier",
    "train_detector",
]
