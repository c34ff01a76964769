"""The built-in presets, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.readers.yolox import CONVENTIONS as YOLOX_CONVENTIONS
from cspdarknet.presets.sizes import SIZES
from cspdarknet.yolox.coco_names import COCO_NAMES

TITLES = {
    "features": "CSPDarkNet",
    "classification": "Image classifier on a CSPDarkNet",
    "detection": "YOLOX object detector on a CSPDarkNet",
}


@dataclass(frozen=True)
class Source:
    """Address of a weight file: a Kaggle handle or a URL, and its SHA-256 if that is published."""

    uri: str
    sha256: str | None = None


@dataclass(frozen=True)
class Preset:
    """A named model.

    Attributes:
        name: the name, as given to `from_preset`.
        size: key of `cspdarknet.presets.sizes.SIZES`.
        task: `"features"`, `"classification"` or `"detection"`.
        dataset: dataset that the weights were trained on; empty without weights.
        accuracy: metric of the trained model, as published.
        sources: addresses of the weights, in the order in which they are tried.
        kaggle_handle: address of the preset that KerasCV published, if it did.
        conventions: constructor arguments of the backbone besides the size.
        license: license of the weights.
        folder: preset folder inside this package, for a bundled model.
        image_size: side in pixels of the images that a detector of YOLOX takes.
    """

    name: str
    size: str
    task: str = "features"
    dataset: str = ""
    accuracy: str = ""
    sources: tuple[Source, ...] = ()
    kaggle_handle: str | None = None
    conventions: Mapping[str, Any] = field(default_factory=lambda: {"include_rescaling": True})
    license: str = "Apache-2.0"
    folder: Path | None = None
    image_size: int | None = None

    @property
    def has_weights(self) -> bool:
        """Whether trained weights exist."""
        return bool(self.sources) or self.folder is not None

    @property
    def parameters(self) -> int:
        """Number of parameters of the backbone, including moving means and variances."""
        return SIZES[self.size].parameters

    @property
    def description(self) -> str:
        """One or two sentences for tables."""
        size = SIZES[self.size]
        depthwise = ", depthwise separable" if size.use_depthwise else ""
        text = (
            f"{TITLES[self.task]} with {list(size.stackwise_channels)} channels and "
            f"{list(size.stackwise_depth)} bottlenecks per stage{depthwise}."
        )
        return f"{text} Trained on {self.dataset}: {self.accuracy}." if self.dataset else text

    def config(self) -> ModelConfig:
        """Return the constructor arguments of the backbone, and of one of YOLOX's detectors."""
        size = SIZES[self.size]
        backbone = {
            "stackwise_channels": list(size.stackwise_channels),
            "stackwise_depth": list(size.stackwise_depth),
            "use_depthwise": size.use_depthwise,
            **self.conventions,
        }
        if self.image_size is None:
            return ModelConfig(backbone)
        head = {
            "num_classes": len(COCO_NAMES),
            "bounding_box_format": "xyxy",
            "class_names": list(COCO_NAMES),
            "image_size": self.image_size,
        }
        return ModelConfig(backbone, head)


KERASCV_FILES = "https://storage.googleapis.com/keras-cv/models"
YOLOX_FILES = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0"
BUNDLED = Path(__file__).parent / "bundled"


def _handle(name: str) -> str:
    return f"kaggle://keras/cspdarknet/keras/{name}/2"


def _architecture(size: str) -> Preset:
    name = f"csp_darknet_{size}"
    return Preset(name, size, kaggle_handle=_handle(name))


def _imagenet(size: str, accuracy: str, sha256: str) -> Preset:
    name = f"csp_darknet_{size}_imagenet"
    url = f"{KERASCV_FILES}/cspdarknet{size}/imagenet/classification-v0-notop.h5"
    return Preset(
        name,
        size,
        dataset="ImageNet",
        accuracy=f"{accuracy} top-1 accuracy with its classifier head",
        sources=(Source(_handle(name)), Source(url, sha256)),
        kaggle_handle=_handle(name),
    )


def _yolox(size: str, mean_average_precision: float, image_size: int = 640) -> Preset:
    return Preset(
        f"yolox_{size}_coco",
        size,
        "detection",
        dataset="COCO",
        accuracy=f"{mean_average_precision} mAP@0.5:0.95",
        sources=(Source(f"{YOLOX_FILES}/yolox_{size}.pth"),),
        conventions=YOLOX_CONVENTIONS,
        image_size=image_size,
    )


def _bundled(name: str, size: str, task: str, dataset: str, accuracy: str, license: str) -> Preset:
    """Return a model that is bundled with the package, with a `README.md` as its model card.

    `tools/bundle_classifier.py` and `tools/bundle_detector.py` write the files.
    """
    return Preset(name, size, task, dataset, accuracy, license=license, folder=BUNDLED / name)


TINY_SHA256 = "0007ae82c95be4d4aef06368a7c38e006381324d77e5df029b04890e18a8ad19"
L_SHA256 = "9303aabfadffbff8447171fce1e941f96d230d8f3cef30d3f05a9c85097f8f1e"

PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        _architecture("tiny"),
        _architecture("s"),
        _architecture("m"),
        _architecture("l"),
        _architecture("xl"),
        _imagenet("tiny", "61.69 %", TINY_SHA256),
        _imagenet("l", "77.44 %", L_SHA256),
        _bundled(
            "csp_darknet_tiny_clothing",
            "tiny",
            "classification",
            "clothing images (CC0)",
            "84 % top-1 accuracy on 10 classes of its validation split",
            "Apache-2.0",
        ),
        _bundled(
            "yolox_nano_bccd",
            "nano",
            "detection",
            "BCCD, blood smear images (MIT)",
            "0.60 mAP@0.5:0.95 on 3 classes of its validation split",
            "MIT",
        ),
        _yolox("nano", 25.8, 416),
        _yolox("tiny", 32.8, 416),
        _yolox("s", 40.5),
        _yolox("m", 46.9),
        _yolox("l", 49.7),
        _yolox("x", 51.1),
    )
}


def describe(presets: Mapping[str, Preset]) -> dict[str, dict[str, Any]]:
    """Return the records in the form of KerasCV's `presets` property, as new objects."""
    return {
        name: {
            "metadata": {
                "description": preset.description,
                "params": preset.parameters,
                "official_name": "CSPDarkNet",
                "path": "csp_darknet",
            },
            "kaggle_handle": preset.kaggle_handle,
            "task": preset.task,
            "has_weights": preset.has_weights,
            "sources": [source.uri for source in preset.sources],
            "config": preset.config().backbone,
        }
        for name, preset in presets.items()
    }
