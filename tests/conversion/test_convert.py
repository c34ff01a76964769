"""Conversion of models between file formats."""

import hashlib
import json

import keras
import pytest

from cspdarknet.checkpoints import published
from cspdarknet.conversion import convert, save, verify
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector, load_model
from support import TINY_NET, assert_same_weights, randomize
from yolox_files import build, yolox_like

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def classifier():
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    return randomize(ImageClassifier(backbone, 3))


@pytest.fixture(scope="module")
def detector():
    backbone = yolox_like(stackwise_channels=[4, 6, 8], stackwise_depth=[1, 2, 1])
    return randomize(YOLOXDetector(backbone, 3, image_size=32))


class TestConvert:
    def test_the_origin_is_recorded(self, state_dict, tmp_path):
        model = convert(state_dict, tmp_path / "preset")
        assert_same_weights(load_model(tmp_path / "preset"), model)
        metadata = json.loads((tmp_path / "preset" / "metadata.json").read_text())
        assert metadata["source"] == {
            "name": "a.pth",
            "format": "YOLOX, PyTorch",
            "license": "unknown",
            "sha256": hashlib.sha256(state_dict.read_bytes()).hexdigest(),
            "input_convention": "bgr",
            "activation": "silu",
        }
        assert all(check.passed for check in verify(tmp_path / "preset"))

    def test_the_license_of_a_published_file(self, state_dict, tmp_path, monkeypatch):
        sha256 = hashlib.sha256(state_dict.read_bytes()).hexdigest()
        monkeypatch.setitem(published.SHA256, "yolox_s.pth", sha256)
        convert(state_dict, tmp_path / "preset")
        metadata = json.loads((tmp_path / "preset" / "metadata.json").read_text())
        assert metadata["source"]["license"] == "Apache-2.0"

    def test_what_was_chosen_is_recorded(self, detector, tmp_path):
        save(detector, tmp_path / "a.pth")
        given = {"input_convention": "rgb", "activation": "leaky_relu"}
        convert(tmp_path / "a.pth", tmp_path / "preset", class_names=list("abc"), **given)
        metadata = json.loads((tmp_path / "preset" / "metadata.json").read_text())
        assert metadata["source"].items() >= given.items()
        model = load_model(tmp_path / "preset")
        assert (model.backbone.activation, model.class_names) == ("leaky_relu", ("a", "b", "c"))
        assert all(check.passed for check in verify(tmp_path / "preset"))

    @pytest.mark.parametrize(
        ("task", "kind", "outputs"), [(None, YOLOXDetector, 6), ("features", CSPDarkNetBackbone, 3)]
    )
    def test_a_detector_or_its_backbone(self, task, kind, outputs, detector, tmp_path):
        save(detector, tmp_path / "a.pth")
        convert(tmp_path / "a.pth", tmp_path / "preset", task)
        assert type(load_model(tmp_path / "preset")) is kind
        checks = verify(tmp_path / "preset")
        assert all(check.passed for check in checks)
        assert len(checks) == outputs

    def test_unknown_tasks(self, tmp_path):
        with pytest.raises(ValueError, match=r"`task` must be one of None, 'features'"):
            convert("csp_darknet_tiny_clothing", tmp_path / "preset", "classify")

    def test_an_archive(self, classifier, tmp_path):
        classifier.save(tmp_path / "a.keras")
        convert(tmp_path / "a.keras", tmp_path / "preset")
        assert_same_weights(ImageClassifier.from_preset(tmp_path / "preset"), classifier)
        assert {check.name for check in verify(tmp_path / "preset")} == {
            *("P2", "P3", "logits", "probs")
        }
        metadata = json.loads((tmp_path / "preset" / "metadata.json").read_text())
        assert metadata["source"]["format"] == ".keras"

    def test_a_preset_folder(self, classifier, tmp_path):
        classifier.save_to_preset(tmp_path / "mine")
        convert(tmp_path / "mine", tmp_path / "copy")
        source = json.loads((tmp_path / "copy" / "metadata.json").read_text())["source"]
        assert (source["name"], source["license"]) == ("mine", "unknown")

    def test_a_built_in_preset(self, tmp_path):
        convert("yolox_nano_bccd", tmp_path / "backbone", "features")
        source = json.loads((tmp_path / "backbone" / "metadata.json").read_text())["source"]
        assert source == {"name": "yolox_nano_bccd", "license": "MIT"}


class TestSave:
    def test_a_failed_save_leaves_nothing(self, classifier, tmp_path):
        with pytest.raises(ValueError, match=r"save `model\.backbone`"):
            save(classifier, tmp_path / "a.pth")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(
        ("name", "message"),
        [("a.ckpt", "suffix of a weight file must be one of"), ("a.h5", r"end in \.weights\.h5")],
    )
    def test_unknown_suffixes(self, name, message, tmp_path):
        with pytest.raises(ValueError, match=message):
            save(build(), tmp_path / name)

    def test_other_models(self, tmp_path):
        other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        with pytest.raises(ValueError, match=r"must be a CSPDarkNetBackbone.*a Sequential"):
            save(other, tmp_path / "a.safetensors")

    def test_folders_are_made(self, tmp_path):
        save(build(), tmp_path / "new" / "a.weights.h5")
        assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.weights.h5"]
