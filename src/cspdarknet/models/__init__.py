"""The model classes, under the names that `keras_cv.models` has for CSPDarkNet."""

from functools import partial

from cspdarknet._kerascv import missing
from cspdarknet.models.aliases import (
    CSPDarkNetLBackbone,
    CSPDarkNetMBackbone,
    CSPDarkNetSBackbone,
    CSPDarkNetTinyBackbone,
    CSPDarkNetXLBackbone,
)
from cspdarknet.models.backbone import CSPDarkNetBackbone
from cspdarknet.models.classifier import ImageClassifier
from cspdarknet.models.detector import YOLOXDetector
from cspdarknet.models.load import load_model
from cspdarknet.models.regressor import ImageRegressor

__all__ = [
    "CSPDarkNetBackbone",
    "CSPDarkNetLBackbone",
    "CSPDarkNetMBackbone",
    "CSPDarkNetSBackbone",
    "CSPDarkNetTinyBackbone",
    "CSPDarkNetXLBackbone",
    "ImageClassifier",
    "ImageRegressor",
    "YOLOXDetector",
    "load_model",
]

# For KerasCV's other models.
__getattr__ = partial(missing, __name__)
