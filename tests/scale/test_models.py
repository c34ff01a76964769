"""Models that each worker loads by name or path."""

import pytest

from cspdarknet.models import CSPDarkNetBackbone
from cspdarknet.scale.models import absolute_name, feature_options, weights_sha256

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("preset") / "tiny"
    CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=True).save_to_preset(folder)
    return str(folder)


def test_a_path_is_absolute_and_a_name_is_kept(preset, monkeypatch):
    monkeypatch.chdir(f"{preset}/..")
    assert absolute_name("tiny") == preset
    assert absolute_name("yolox_s_coco") == "yolox_s_coco"
    with pytest.raises(ValueError, match="save or export it"):
        absolute_name(CSPDarkNetBackbone)


def test_the_hash_is_that_of_the_weights(preset, model, tmp_path):
    assert len({weights_sha256(preset), weights_sha256(model)}) == 2
    with pytest.raises(ValueError, match="random weights"):
        weights_sha256("csp_darknet_tiny")
    with pytest.raises(ValueError, match="There is no file"):
        weights_sha256(str(tmp_path / "no.onnx"))


def test_options_of_features(preset, model):
    assert feature_options(preset, None, None) == {
        **{"batch_size": 1, "levels": ["P4"], "longer_side": 640}
    }
    assert feature_options(preset, ["P2"], 0)["longer_side"] is None
    assert feature_options(preset, ["P2"], 0)["levels"] == ["P2"]
    for given in ((model, None, None), (model, None, None, 32)):
        assert feature_options(*given) == {"levels": None, "longer_side": None}
    assert "batch_size" not in feature_options(preset, None, None, 32)
