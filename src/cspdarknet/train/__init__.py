"""Training of classifiers, regressors and detectors: recipes, training loop, run folders."""

from cspdarknet.train.batch_size import BatchSize, fit_batch_size
from cspdarknet.train.classification import train_classifier
from cspdarknet.train.customize import customize
from cspdarknet.train.detection import train_detector
from cspdarknet.train.recipe import (
    ClassificationRecipe,
    DetectionRecipe,
    Phase,
    RegressionRecipe,
)
from cspdarknet.train.recipes import (
    CLASSIFICATION_RECIPES,
    DETECTION_RECIPES,
    REGRESSION_RECIPES,
    load_recipe,
)
from cspdarknet.train.regression import train_regressor
from cspdarknet.train.teacher import Teacher

__all__ = [
    "CLASSIFICATION_RECIPES",
    "DETECTION_RECIPES",
    "REGRESSION_RECIPES",
    "BatchSize",
    "ClassificationRecipe",
    "DetectionRecipe",
    "Phase",
    "RegressionRecipe",
    "Teacher",
    "customize",
    "fit_batch_size",
    "load_recipe",
    "train_classifier",
    "train_detector",
    "train_regressor",
]
