"""The built-in presets, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.imagenet import COUNT
from cspdarknet.checkpoints.published import SHA256
from cspdarknet.checkpoints.readers import timm
from cspdarknet.checkpoints.readers.timm_config import head_arguments
from cspdarknet.checkpoints.readers.yolox import CONVENTIONS as YOLOX_CONVENTIONS
from cspdarknet.presets.config import WEIGHTS
from cspdarknet.presets.sizes import SIZES, TIMM_SIZES
from cspdarknet.topologies import YOLOX
from cspdarknet.yolox.coco_names import COCO_NAMES

TITLES = {
    "features": "CSPDarkNet",
    "classification": "Image classifier on a CSPDarkNet",
    "detection": "YOLOX object detector on a CSPDarkNet",
    "regression": "Image regressor on a CSPDarkNet",
}


@dataclass(frozen=True)
class Source:
    """Address of a weight file.

    Attributes:
        uri: a Kaggle handle, a Hugging Face repository, or a URL.
        sha256: SHA-256 of a file from a URL, or its first digits, if it is published.
        file: name of the file at a hub.
    """

    uri: str
    sha256: str | None = None
    file: str = ""


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
        image_size: side in pixels of the images that a model of YOLOX or timm takes.
        crop: part of the side of an image's central square that the model sees, as in timm's test.
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
    crop: float | None = None

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
        """Return the constructor arguments of the backbone, and of YOLOX's or timm's head."""
        size = SIZES[self.size]
        backbone = {
            "stackwise_channels": list(size.stackwise_channels),
            "stackwise_depth": list(size.stackwise_depth),
            "use_depthwise": size.use_depthwise,
            **({} if size.topology == YOLOX else {"topology": size.topology}),
            **self.conventions,
        }
        if self.image_size is None:
            return ModelConfig(backbone)
        if self.task == "classification":
            return ModelConfig(backbone, head_arguments(COUNT, self.image_size, self.crop))
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


TIMM_RELEASES = "https://github.com/huggingface/pytorch-image-models/releases/download"
# Size, tag, side in pixels and crop of the test images, top-1 accuracy in percent (0 if none is
# published; from results/results-imagenet.csv of timm), file of timm's older releases.
TIMM_MODELS = (
    ("cspdarknet53", "ra_in1k", 256, 0.887, 80.062, "cspdarknet53_ra_256-d05c7c21.pth"),
    ("darknet53", "c2ns_in1k", 288, 1.0, 80.536, "darknet53_256_c2ns-3aeff817.pth"),
    ("darknetaa53", "c2ns_in1k", 288, 1.0, 80.502, "darknetaa53_c2ns-5c28ec8a.pth"),
    ("cs3darknet_m", "c2ns_in1k", 288, 0.95, 77.634, "cs3darknet_m_c2ns-43f06604.pth"),
    ("cs3darknet_l", "c2ns_in1k", 288, 0.95, 80.896, "cs3darknet_l_c2ns-16220c5d.pth"),
    ("cs3darknet_x", "c2ns_in1k", 288, 1.0, 82.222, "cs3darknet_x_c2ns-4e4490aa.pth"),
    ("cs3darknet_focus_s", "ra4_e3600_r256_in1k", 320, 1.0, 0, ""),
    ("cs3darknet_focus_m", "c2ns_in1k", 288, 0.95, 77.284, "cs3darknet_focus_m_c2ns-e23bed41.pth"),
    ("cs3darknet_focus_l", "c2ns_in1k", 288, 0.95, 80.88, "cs3darknet_focus_l_c2ns-65ef8888.pth"),
    ("cs3sedarknet_l", "c2ns_in1k", 288, 0.95, 81.784, "cs3sedarknet_l_c2ns-e8d1dc13.pth"),
    ("cs3sedarknet_x", "c2ns_in1k", 288, 1.0, 82.658, "cs3sedarknet_x_c2ns-b4d0abc0.pth"),
    ("cs3edgenet_x", "c2_in1k", 288, 1.0, 82.708, "cs3edgenet_x_c2-2e1610a9.pth"),
    ("cs3se_edgenet_x", "c2ns_in1k", 320, 1.0, 83.542, "cs3se_edgenet_x_c2ns-76f8e3ac.pth"),
)


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
        sources=(Source(_handle(name), file=WEIGHTS), Source(url, SHA256[f"kerascv_{size}.h5"])),
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


def _timm_conventions(size: str) -> dict[str, Any]:
    """Return the backbone arguments of a model of timm."""
    architecture = SIZES[size]
    mean, std = timm.normalization_of(architecture.topology, architecture.stackwise_channels)
    return {
        "include_rescaling": True,
        "mean": list(mean),
        "std": list(std),
        "activation": timm.activation_of(architecture.topology),
        **timm.CONVENTIONS,
    }


def _timm_architecture(size: str) -> Preset:
    return Preset(size, size, conventions=_timm_conventions(size))


def _timm(size: str, tag: str, image_size: int, crop: float, top_1: float, file: str) -> Preset:
    """Return a classifier of ImageNet's classes that timm published.

    The file of timm's older releases has the first digits of its SHA-256 at the end of its name.
    """
    name = f"{size}.{tag}"
    sources = [Source(f"hf://timm/{name}", file=timm.FILE)]
    if file:
        release = "v0.1-weights" if size == "cspdarknet53" else "v0.1-tpu-weights"
        digits = file.removesuffix(".pth").rpartition("-")[2]
        sources.append(Source(f"{TIMM_RELEASES}/{release}/{file}", digits))
    at = f"at {image_size} pixels, {crop:.3g} of the image's side"
    return Preset(
        name,
        size,
        "classification",
        dataset="ImageNet",
        accuracy=f"{top_1} % top-1 accuracy {at}" if top_1 else "no published accuracy",
        sources=tuple(sources),
        conventions=_timm_conventions(size),
        image_size=image_size,
        metric=f"top-1 {top_1:.1f}" if top_1 else "",
        head_parameters=(SIZES[size].stackwise_channels[-1] + 1) * COUNT,
        crop=crop,
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
            accuracy="86.5 % top-1 accuracy on 10 classes of its validation split",
            license="Apache-2.0",
            metric="top-1 86.5",
            head_parameters=3_850,
        ),
        _bundled(
            "yolox_nano_bccd",
            "nano",
            "detection",
            dataset="BCCD, blood smear images (MIT)",
            accuracy="0.63 mAP@0.5:0.95 on 3 classes of its validation split",
            license="MIT",
            metric="AP 63",
            head_parameters=445_816,
        ),
        _yolox("nano", 25.8, 416),
        _yolox("tiny", 32.8, 416),
        _yolox("s", 40.5),
        _yolox("m", 46.9),
        _yolox("l", 49.7),
        _yolox("x", 51.1),
        *(_timm_architecture(row[0]) for row in TIMM_SIZES),
        *(_timm(*row) for row in TIMM_MODELS),
    )
}
