"""The built-in presets as data."""

import pytest

from cspdarknet.models import CSPDarkNetBackbone
from cspdarknet.presets.listing import describe
from cspdarknet.presets.records import PRESETS, TIMM_MODELS
from cspdarknet.presets.sizes import TIMM_SIZES

pytestmark = pytest.mark.one_backend

KERASCV = [
    "csp_darknet_tiny",
    "csp_darknet_s",
    "csp_darknet_m",
    "csp_darknet_l",
    "csp_darknet_xl",
    "csp_darknet_tiny_imagenet",
    "csp_darknet_l_imagenet",
]
BUNDLED = ["csp_darknet_tiny_clothing", "yolox_nano_bccd"]
YOLOX = [f"yolox_{size}_coco" for size in ("nano", "tiny", "s", "m", "l", "x")]


TIMM = [row[0] for row in TIMM_SIZES]
TAGGED = [f"{name}.{tag}" for name, tag, *_ in TIMM_MODELS]


def test_names_in_their_order():
    names = KERASCV + BUNDLED + YOLOX
    assert list(PRESETS)[: len(names)] == names
    assert list(PRESETS)[len(names) :] == TIMM + TAGGED
    with_weights = [name for name, preset in PRESETS.items() if preset.has_weights]
    assert with_weights == KERASCV[5:] + BUNDLED + YOLOX + TAGGED


def test_tasks():
    assert {PRESETS[name].task for name in KERASCV} == {"features"}
    assert [PRESETS[name].task for name in BUNDLED] == ["classification", "detection"]
    assert {PRESETS[name].task for name in YOLOX} == {"detection"}
    for preset in PRESETS.values():
        if preset.folder is None:
            assert preset.config().task == preset.task


def test_entries():
    for name, entry in describe(PRESETS).items():
        assert str(entry["config"]["stackwise_channels"]) in entry["metadata"]["description"]
        handle = f"kaggle://keras/cspdarknet/keras/{name}/2" if name in KERASCV else None
        assert entry["kaggle_handle"] == handle
        assert entry["task"] == PRESETS[name].task


@pytest.mark.parametrize(
    ("name", "description"),
    [
        (
            "csp_darknet_tiny",
            "CSPDarkNet with [48, 96, 192, 384] channels and [1, 3, 3, 1] bottlenecks per stage.",
        ),
        (
            "csp_darknet_l_imagenet",
            "CSPDarkNet with [128, 256, 512, 1024] channels and [3, 9, 9, 3] bottlenecks per "
            "stage. Trained on ImageNet: 77.44 % top-1 accuracy with its classifier head.",
        ),
        (
            "yolox_nano_coco",
            "YOLOX object detector on a CSPDarkNet with [32, 64, 128, 256] channels and "
            "[1, 3, 3, 1] bottlenecks per stage, depthwise separable. "
            "Trained on COCO: 25.8 mAP@0.5:0.95.",
        ),
    ],
)
def test_descriptions(name, description):
    assert PRESETS[name].description == description


def test_a_copy_is_handed_out():
    CSPDarkNetBackbone.presets["csp_darknet_tiny"]["config"]["stackwise_channels"].append(1)
    CSPDarkNetBackbone.presets.clear()
    assert len(CSPDarkNetBackbone.presets["csp_darknet_tiny"]["config"]["stackwise_depth"]) == 4
