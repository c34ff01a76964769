"""The documented namespace: what `keras_cv.models` offered for CSPDarkNet."""

from cspdarknet.models.aliases import (
    CSPDarkNetLBackbone,
    CSPDarkNetMBackbone,
    CSPDarkNetSBackbone,
    CSPDarkNetTinyBackbone,
    CSPDarkNetXLBackbone,
)
from cspdarknet.models.backbone import CSPDarkNetBackbone
from cspdarknet.models.classifier import ImageClassifier

__all__ = [
    "CSPDarkNetBackbone",
    "CSPDarkNetLBackbone",
    "CSPDarkNetMBackbone",
    "CSPDarkNetSBackbone",
    "CSPDarkNetTinyBackbone",
    "CSPDarkNetXLBackbone",
    "ImageClassifier",
]
