"""The base class of the three model classes: their presets, and the names in the docstrings."""

import pytest

from cspdarknet import models
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.presets.records import PRESETS
from cspdarknet.presets.sizes import TIMM_SIZES

pytestmark = pytest.mark.one_backend

CLASSES = (CSPDarkNetBackbone, ImageClassifier, YOLOXDetector)


def test_presets_are_those_that_the_class_loads():
    assert list(CSPDarkNetBackbone.presets) == list(PRESETS)
    first, *others = ImageClassifier.presets
    assert first == "csp_darknet_tiny_clothing"
    assert all("_in1k" in name for name in others)
    assert list(YOLOXDetector.presets) == [
        "yolox_nano_bccd",
        *(f"yolox_{size}_coco" for size in ("nano", "tiny", "s", "m", "l", "x")),
    ]


@pytest.mark.parametrize("cls", CLASSES)
def test_presets_with_and_without_weights(cls):
    assert cls.presets_with_weights | cls.presets_without_weights == cls.presets
    assert all(entry["has_weights"] for entry in cls.presets_with_weights.values())
    assert list(CSPDarkNetBackbone.presets_without_weights) == [
        *list(PRESETS)[:5],
        *(row[0] for row in TIMM_SIZES),
    ]


@pytest.mark.parametrize("name", ["Tiny", "S", "M", "L", "XL"])
def test_presets_of_the_aliases(name):
    alias = getattr(models, f"CSPDarkNet{name}Backbone")
    expected = [f"csp_darknet_{name.lower()}_imagenet"] if name in ("Tiny", "L") else []
    assert list(alias.presets) == list(alias.presets_with_weights) == expected
    assert alias.presets_without_weights == {}


@pytest.mark.parametrize(
    "cls", [*CLASSES, models.CSPDarkNetTinyBackbone, models.CSPDarkNetLBackbone]
)
def test_docstrings_list_the_presets(cls):
    """KerasCV's own test of its presets asks for this."""
    doc = cls.from_preset.__doc__
    for name in cls.presets:
        assert f'"{name}"' in doc
    assert "{" not in doc
    assert max(map(len, doc.splitlines())) <= 100


def test_aliases_refuse_other_sizes():
    alias = models.CSPDarkNetTinyBackbone
    assert alias.from_preset("csp_darknet_tiny").count_params() == 2_380_416
    with pytest.raises(ValueError, match="not of the size of CSPDarkNetTinyBackbone"):
        alias.from_preset("csp_darknet_l_imagenet")


def test_an_alias_loads_any_folder(tiny_net, tmp_path):
    tiny_net.save_to_preset(tmp_path / "preset")
    model = models.CSPDarkNetTinyBackbone.from_preset(tmp_path / "preset")
    assert type(model) is CSPDarkNetBackbone
    assert model.stackwise_channels == [4, 6]
