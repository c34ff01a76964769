"""Training: recipes, the loop, and run folders that an interrupted training goes on from."""

from cspdarknet.train.classification import train_classifier
from cspdarknet.train.detection import train_detector
from cspdarknet.train.recipe import (
    CLASSIFICATION_RECIPES,
    DETECTION_RECIPES,
    ClassificationRecipe,
    DetectionRecipe,
    Phase,
    customize,
    load_detection_recipe,
    load_recipe,
)

__all__ = [
    "DETECTION_RECIPES",
    "CLASSIFICATION_RECIPES",
    "DetectionRecipe",
    "ClassificationRecipe",
    "Phase",
    "customize",
    "load_detection_recipe",
    "load_recipe",
    "train_classifier",
    "train_detector",
]
