"""The built-in presets, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.published import SHA256
from cspdarknet.checkpoints.readers.yolox import CONVENTIONS as YOLOX_CONVENTIONS
from cspdarknet.presets.config import WEIGHTS
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
        metric: the accuracy in percent with the metric's name, for tables; AP is COCO's mAP.
        head_parameters: number of parameters of a classifier or detector besides its backbone.
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
    metric: str = ""
    head_parameters: int = 0

    @property
    def has_weights(self) -> bool:
        """Whether trained weights exist."""
        return bool(self.sources) or self.folder is not None

    @property
    def parameters(self) -> int:
        """Number of parameters of the backbone, including moving means and variances."""
        return SIZES[self.size].parameters

    @property
    def origin(self) -> str:
        """Where the weights come from: `"bundled"`, `"download"` or `"none"`."""
        if self.folder is not None:
            return "bundled"
        return "download" if self.sources else "none"

    @property
    def megabytes(self) -> float:
        """Size of the weights in MB: of the bundled file, or else of the variables in float32."""
        if self.folder is not None:
            return (self.folder / WEIGHTS).stat().st_size / 1e6
        return 4 * (self.parameters + self.head_parameters) / 1e6

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
# Parameters of YOLOX's neck and head for the 80 classes of COCO.
YOLOX_HEADS = {
    **{"nano": 460_831, "tiny": 2_692_767, "s": 4_767_871},
    **{"m": 12_995_391, "l": 27_166_719, "x": 48_817_855},
}


def _handle(name: str) -> str:
    return f"kaggle://keras/cspdarknet/keras/{name}/2"


def _architecture(size: str) -> Preset:
    name = f"csp_darknet_{size}"
    return Preset(name, size, kaggle_handle=_handle(name))


def _imagenet(size: str, top_1: float) -> Preset:
    name = f"csp_darknet_{size}_imagenet"
    url = f"{KERASCV_FILES}/cspdarknet{size}/imagenet/classification-v0-notop.h5"
    return Preset(
        name,
        size,
        dataset="ImageNet",
        accuracy=f"{top_1} % top-1 accuracy with its classifier head",
        sources=(Source(_handle(name)), Source(url, SHA256[f"kerascv_{size}.h5"])),
        kaggle_handle=_handle(name),
        metric=f"top-1 {top_1:.1f}",
    )


def _yolox(size: str, mean_average_precision: float, image_size: int = 640) -> Preset:
    file = f"yolox_{size}.pth"
    return Preset(
        f"yolox_{size}_coco",
        size,
        "detection",
        dataset="COCO",
        accuracy=f"{mean_average_precision} mAP@0.5:0.95",
        sources=(Source(f"{YOLOX_FILES}/{file}", SHA256[file]),),
        conventions=YOLOX_CONVENTIONS,
        image_size=image_size,
        metric=f"AP {mean_average_precision}",
        head_parameters=YOLOX_HEADS[size],
    )


def _bundled(name: str, size: str, task: str, **facts: Any) -> Preset:
    """Return a model that is bundled with the package, with a `README.md` as its model card.

    `tools/bundle_classifier.py` and `tools/bundle_detector.py` write the files.
    """
    return Preset(name, size, task, folder=BUNDLED / name, **facts)


PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        _architecture("tiny"),
        _architecture("s"),
        _architecture("m"),
        _architecture("l"),
        _architecture("xl"),
        _imagenet("tiny", 61.69),
        _imagenet("l", 77.44),
        _bundled(
            "csp_darknet_tiny_clothing",
            "tiny",
            "classification",
            dataset="clothing images (CC0)",
            accuracy="84 % top-1 accuracy on 10 classes of its validation split",
            license="Apache-2.0",
            metric="top-1 84",
            head_parameters=3_850,
        ),
        _bundled(
            "yolox_nano_bccd",
            "nano",
            "detection",
            dataset="BCCD, blood smear images (MIT)",
            accuracy="0.60 mAP@0.5:0.95 on 3 classes of its validation split",
            license="MIT",
            metric="AP 60",
            head_parameters=445_816,
        ),
        _yolox("nano", 25.8, 416),
        _yolox("tiny", 32.8, 416),
        _yolox("s", 40.5),
        _yolox("m", 46.9),
        _yolox("l", 49.7),
        _yolox("x", 51.1),
    )
}
