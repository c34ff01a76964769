"""CSPDarkNet, the convolutional backbone of the YOLO line, for Keras 3.

`import cspdarknet as keras_cv` serves code that was written for
`keras_cv.models.CSPDarkNetBackbone`.
"""

from typing import TYPE_CHECKING

from cspdarknet._keras import prepare_keras
from cspdarknet._kerascv import install_import_hook
from cspdarknet._lazy import lazy_names
from cspdarknet._version import __version__

if TYPE_CHECKING:
    from cspdarknet import (
        analysis,
        checkpoints,
        conversion,
        data,
        evaluate,
        export,
        inference,
        layers,
        models,
        train,
        visualize,
    )
    from cspdarknet.detections import DetectionOptions, Detections
    from cspdarknet.inference import Predictor
    from cspdarknet.models import (
        CSPDarkNetBackbone,
        CSPDarkNetLBackbone,
        CSPDarkNetMBackbone,
        CSPDarkNetSBackbone,
        CSPDarkNetTinyBackbone,
        CSPDarkNetXLBackbone,
        ImageClassifier,
        ImageRegressor,
        YOLOXDetector,
        load_model,
    )
    from cspdarknet.presets.listing import list_presets
    from cspdarknet.presets.upload import upload_preset
    from cspdarknet.tiles import Tiles

__all__ = [  # noqa: RUF022  (the names below, for `from cspdarknet import *`)
    "__version__",
    "CSPDarkNetBackbone",
    "CSPDarkNetLBackbone",
    "CSPDarkNetMBackbone",
    "CSPDarkNetSBackbone",
    "CSPDarkNetTinyBackbone",
    "CSPDarkNetXLBackbone",
    "DetectionOptions",
    "Detections",
    "ImageClassifier",
    "ImageRegressor",
    "Predictor",
    "Tiles",
    "YOLOXDetector",
    "analysis",
    "checkpoints",
    "conversion",
    "data",
    "evaluate",
    "export",
    "inference",
    "layers",
    "list_presets",
    "load_model",
    "models",
    "train",
    "upload_preset",
    "visualize",
]

# Names are imported on first use, since an exported model must run without Keras.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "CSPDarkNetBackbone": "models",
        "CSPDarkNetLBackbone": "models",
        "CSPDarkNetMBackbone": "models",
        "CSPDarkNetSBackbone": "models",
        "CSPDarkNetTinyBackbone": "models",
        "CSPDarkNetXLBackbone": "models",
        "DetectionOptions": "detections",
        "Detections": "detections",
        "ImageClassifier": "models",
        "ImageRegressor": "models",
        "Predictor": "inference",
        "Tiles": "tiles",
        "YOLOXDetector": "models",
        "list_presets": "presets.listing",
        "load_model": "models",
        "upload_preset": "presets.upload",
        "analysis": "analysis",
        "checkpoints": "checkpoints",
        "conversion": "conversion",
        "data": "data",
        "evaluate": "evaluate",
        "export": "export",
        "inference": "inference",
        "layers": "layers",
        "models": "models",
        "train": "train",
        "visualize": "visualize",
    },
)

prepare_keras()
install_import_hook()
