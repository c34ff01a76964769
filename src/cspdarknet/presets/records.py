"""The built-in presets, as data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cspdarknet.checkpoints.readers.yolox import CONVENTIONS as YOLOX_CONVENTIONS
from cspdarknet.presets.sizes import SIZES
from cspdarknet.yolox.coco_names import COCO_NAMES


@dataclass(frozen=True)
class Source:
    """Where a weight file can be had: a Kaggle handle or a URL, and its SHA-256 if published."""

    uri: str
    sha256: str | None = None


@dataclass(frozen=True)
class Preset:
    """One named model.

    Attributes:
        name: what the user types.
        size: key of `cspdarknet.presets.sizes.SIZES`.
        dataset: what the trained weights, if any, were trained on.
        accuracy: what they reach, as published.
        sources: where the weights are, in the order in which they are tried.
        kaggle_handle: where KerasCV published the preset, if it did.
        conventions: constructor arguments besides the size.
        free: arguments that may be overridden although weights are loaded.
        license: of the weights.
        folder: preset directory inside this package, of a model that comes with it.
        image_size: side in pixels of the images of a detector; 0 for what is none.
    """

    name: str
    size: str
    dataset: str = ""
    accuracy: str = ""
    sources: tuple[Source, ...] = ()
    kaggle_handle: str | None = None
    conventions: Mapping[str, Any] = field(default_factory=lambda: {"include_rescaling": True})
    free: frozenset[str] = frozenset()
    license: str = "Apache-2.0"
    folder: Path | None = None
    image_size: int = 0

    @property
    def has_weights(self) -> bool:
        """Whether trained weights exist."""
        return bool(self.sources) or self.folder is not None

    @property
    def parameters(self) -> int:
        """Number of parameters of the backbone, moving averages included."""
        return SIZES[self.size].parameters

    @property
    def description(self) -> str:
        """One or two sentences for tables."""
        size = SIZES[self.size]
        depthwise = ", depthwise separable" if size.use_depthwise else ""
        text = (
            f"CSPDarkNet with {list(size.stackwise_channels)} channels and "
            f"{list(size.stackwise_depth)} bottlenecks per stage{depthwise}."
        )
        return f"{text} Trained on {self.dataset}: {self.accuracy}." if self.dataset else text

    def config(self) -> dict[str, Any]:
        """Constructor arguments of the backbone."""
        size = SIZES[self.size]
        return {
            "stackwise_channels": list(size.stackwise_channels),
            "stackwise_depth": list(size.stackwise_depth),
            "use_depthwise": size.use_depthwise,
            **self.conventions,
        }

    def head(self) -> dict[str, Any] | None:
        """Constructor arguments of the detector around the backbone, if it is one of YOLOX's."""
        if not self.image_size:
            return None
        return {
            "num_classes": len(COCO_NAMES),
            "bounding_box_format": "xyxy",
            "class_names": list(COCO_NAMES),
            "image_size": self.image_size,
        }


KERASCV_FILES = "https://storage.googleapis.com/keras-cv/models"
YOLOX_FILES = "https://github.com/Megvii-BaseDetection/YOLOX/releases/download/0.1.1rc0"
BUNDLED = Path(__file__).parent / "boxed"


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
        "ImageNet",
        f"{accuracy} top-1 with its classifier head",
        (Source(_handle(name)), Source(url, sha256)),
        _handle(name),
    )


# The reader of YOLOX files moves the factor of the rescaling into the stem's weights.
YOLOX_FREE = frozenset({"include_rescaling"})


def _yolox(name: str, size: str, precision: float, image_size: int = 640) -> Preset:
    return Preset(
        f"yolox_{name}_coco",
        size,
        "COCO",
        f"YOLOX-{name}, {precision} AP, and its backbone",
        (Source(f"{YOLOX_FILES}/yolox_{name}.pth"),),
        conventions=YOLOX_CONVENTIONS,
        free=YOLOX_FREE,
        image_size=image_size,
    )


def _bundled(name: str, size: str, dataset: str, accuracy: str) -> Preset:
    """A model that comes with the package, and its backbone, from one set of files.

    `tools/box_preset.py` writes them; a `README.md` beside them is the model card.
    """
    return Preset(name, size, dataset, accuracy, folder=BUNDLED / name)


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
            "photos of clothing (CC0)",
            "84 % top-1 of 10 classes on validation",
        ),
        _bundled(
            "yolox_nano_bccd",
            "nano",
            "photos of blood smears (MIT)",
            "a YOLOX-nano that finds red cells, white cells and platelets",
        ),
        _yolox("nano", "nano", 25.8, 416),
        _yolox("tiny", "tiny", 32.8, 416),
        _yolox("s", "s", 40.5),
        _yolox("m", "m", 46.9),
        _yolox("l", "l", 49.7),
        _yolox("x", "x", 51.1),
    )
}


def describe(presets: Mapping[str, Preset]) -> dict[str, dict[str, Any]]:
    """Return the records in the form of KerasCV's `presets` property (new objects each time)."""
    return {
        name: {
            "metadata": {
                "description": preset.description,
                "params": preset.parameters,
                "official_name": "CSPDarkNet",
                "path": "csp_darknet",
            },
            "kaggle_handle": preset.kaggle_handle,
            "has_weights": preset.has_weights,
            "has_head": preset.folder is not None or bool(preset.image_size),
            "sources": [source.uri for source in preset.sources],
            "config": preset.config(),
        }
        for name, preset in presets.items()
    }
