"""CSPDarkNet, the convolutional backbone of the YOLO line, for Keras 3.

``import cspdarknet as keras_cv`` serves code that was written for
``keras_cv.models.CSPDarkNetBackbone``.
"""

from cspdarknet._backend import ensure_backend
from cspdarknet._version import __version__

ensure_backend()

from cspdarknet import checkpoints, layers, models  # noqa: E402  (the backend is chosen first)
from cspdarknet.models import (  # noqa: E402
    CSPDarkNetBackbone,
    CSPDarkNetLBackbone,
    CSPDarkNetMBackbone,
    CSPDarkNetSBackbone,
    CSPDarkNetTinyBackbone,
    CSPDarkNetXLBackbone,
    ImageClassifier,
    YOLOXDetector,
)
from cspdarknet.presets.upload import upload_preset  # noqa: E402

__all__ = [
    "CSPDarkNetBackbone",
    "CSPDarkNetLBackbone",
    "CSPDarkNetMBackbone",
    "CSPDarkNetSBackbone",
    "CSPDarkNetTinyBackbone",
    "CSPDarkNetXLBackbone",
    "ImageClassifier",
    "YOLOXDetector",
    "__version__",
    "checkpoints",
    "layers",
    "models",
    "upload_preset",
]
