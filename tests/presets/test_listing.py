"""Lists of the built-in presets."""

import json

import pytest

import cspdarknet
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.presets.records import PRESETS

pytestmark = pytest.mark.one_backend


def test_names_by_pattern_task_and_weights():
    assert cspdarknet.list_presets() == list(PRESETS)
    assert cspdarknet.list_presets("yolox_*_bccd") == ["yolox_nano_bccd"]
    assert cspdarknet.list_presets("csp_*", task="classification") == ["csp_darknet_tiny_clothing"]
    assert cspdarknet.list_presets("cs3darknet_l*") == ["cs3darknet_l", "cs3darknet_l.c2ns_in1k"]
    assert cspdarknet.list_presets(task="detection", bundled=False)[0] == "yolox_nano_coco"
    assert len(cspdarknet.list_presets(has_weights=False)) == 5 + 15
    with pytest.raises(ValueError, match="`task` must be one of"):
        cspdarknet.list_presets(task="segmentation")


def test_the_properties_of_kerascv_are_dicts_that_print_a_line_for_each_preset():
    for presets in (CSPDarkNetBackbone.presets, YOLOXDetector.presets_with_weights):
        assert isinstance(presets, dict)
        assert json.loads(json.dumps(presets)) == presets
        lines = repr(presets).splitlines()
        assert len(lines) == 1 + len(presets)
        assert max(map(len, lines)) < 100
    line = repr(CSPDarkNetBackbone.presets_without_weights).splitlines()[1]
    assert line.split() == [
        *("csp_darknet_tiny", "features,", "backbone", "of", "2.38M", "parameters,"),
        *("no", "weights"),
    ]
    assert repr(ImageClassifier.presets_without_weights) == "{}"


DOWNLOADED = ["yolox_nano_coco", "cs3darknet_m.c2ns_in1k"]


@pytest.mark.parametrize("name", [*cspdarknet.list_presets(bundled=True), *DOWNLOADED])
def test_sizes_are_those_of_the_models(name):
    model = cspdarknet.load_model(name, load_weights=False)
    preset = PRESETS[name]
    assert model.count_params() == preset.parameters + preset.head_parameters
    if preset.origin == "download":
        assert preset.megabytes == pytest.approx(4e-6 * model.count_params())
    else:
        assert 1 < preset.megabytes < 10
