"""Writing of preset folders."""

import json
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.presets.reference import reference_outputs
from cspdarknet.presets.save import (
    save_preset,
    save_score_threshold,
    save_temperature,
    stored_temperature,
)
from support import TINY_NET, assert_same_weights, randomize, to_numpy


@pytest.mark.one_backend
def test_files_and_metadata(preset, backbone):
    assert sorted(p.name for p in preset.iterdir()) == [
        "config.json",
        "metadata.json",
        "model.weights.h5",
    ]
    metadata = json.loads((preset / "metadata.json").read_text())
    assert metadata["parameter_count"] == backbone.count_params()
    assert metadata["keras_version"] == keras.__version__
    assert "source" not in metadata


def test_keras_reads_the_weights(preset, backbone):
    model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    model.load_weights(preset / "model.weights.h5")
    assert_same_weights(model, backbone)


@pytest.mark.one_backend
def test_origin_and_reference_outputs(classifier, tmp_path):
    source = {"name": "a test", "license": "MIT"}
    save_preset(classifier, tmp_path / "p", source, weights_dtype="float16")
    metadata = json.loads((tmp_path / "p/metadata.json").read_text())
    assert metadata["source"] == source
    # Those of the rounded weights.
    stored = ImageClassifier.from_preset(tmp_path / "p")
    assert metadata["reference_outputs"] == reference_outputs(stored)
    assert metadata["reference_outputs"] != reference_outputs(classifier)


def test_bfloat16_weights(tmp_path):
    model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, dtype="bfloat16")
    model.save_to_preset(tmp_path / "half")
    again = CSPDarkNetBackbone.from_preset(tmp_path / "half")
    for a, b in zip(model.variables, again.variables, strict=True):
        np.testing.assert_array_equal(
            to_numpy(keras.ops.cast(a, "float32")), to_numpy(keras.ops.cast(b, "float32"))
        )


@pytest.mark.one_backend
def test_a_score_threshold_is_stored_in_a_preset_folder(preset, tmp_path):
    detector = YOLOXDetector(CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], True), 2, image_size=32)
    folder = tmp_path / "p"
    detector.save_to_preset(folder)
    for threshold in ((0.5, 0.25), 0.75):
        save_score_threshold(folder, threshold)
        changed = YOLOXDetector.from_preset(folder, load_weights=False)
        assert changed.score_threshold == threshold
        assert {**changed.get_config(), "score_threshold": 0.25} == detector.get_config()
    with pytest.raises(ValueError, match="each of the 2 classes"):
        save_score_threshold(folder, (0.5, 0.5, 0.5))
    with pytest.raises(ValueError, match="must be the preset folder of a YOLOXDetector"):
        save_score_threshold(preset, 0.5)
    assert len(list(folder.iterdir())) == 3


@pytest.mark.one_backend
def test_the_thresholds_of_a_multi_label_classifier(tmp_path):
    backbone = CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True)
    ImageClassifier(backbone, 2, labels="multi").save_to_preset(tmp_path / "p")
    for threshold in ((0.5, 0.25), 0.75):
        save_score_threshold(tmp_path / "p", threshold)
        assert ImageClassifier.from_preset(tmp_path / "p").score_threshold == threshold
    save_score_threshold(tmp_path / "p", (0.5, 0.25))
    other = ImageClassifier.from_preset(tmp_path / "p", num_classes=3)
    assert (other.labels, other.score_threshold) == ("multi", 0.5)
    single = ImageClassifier.from_preset(tmp_path / "p", labels="single")
    assert (single.activation, single.score_threshold) == ("softmax", None)


@pytest.mark.one_backend
@pytest.mark.one_backend
def test_a_temperature_is_stored_in_a_preset_folder(classifier, preset, tmp_path):
    """Reference outputs stay valid, and a temperature of 1 leaves the config as it was."""
    save_preset(classifier, tmp_path / "p", {"name": "a test"})
    config, before = tmp_path / "p/config.json", reference_outputs(classifier)
    original = config.read_bytes()
    assert stored_temperature(tmp_path / "p") == 1
    save_temperature(tmp_path / "p", 1.75)
    changed = ImageClassifier.from_preset(tmp_path / "p")
    assert changed.temperature == stored_temperature(tmp_path / "p") == 1.75
    assert {**changed.get_config(), "temperature": 1} == {
        **classifier.get_config(),
        "temperature": 1,
    }
    after = reference_outputs(changed)
    assert list(after) == list(before)
    for name, values in before.items():
        np.testing.assert_allclose(after[name], values, rtol=1e-5, atol=1e-6)
    save_temperature(tmp_path / "p", 1)
    assert config.read_bytes() == original
    with pytest.raises(ValueError, match="`temperature` must be a number from"):
        save_temperature(tmp_path / "p", 0)
    assert config.read_bytes() == original
    with pytest.raises(ValueError, match="must be the preset folder of an ImageClassifier"):
        save_temperature(preset, 2)


@pytest.mark.one_backend
def test_another_head_has_no_temperature(classifier, tmp_path):
    save_preset(classifier, tmp_path / "p")
    save_temperature(tmp_path / "p", 1.75)
    other = ImageClassifier.from_preset(tmp_path / "p", num_classes=5)
    assert other.temperature == 1
    kept = ImageClassifier.from_preset(tmp_path / "p", class_names=classifier.class_names)
    assert kept.temperature == 1.75


class TestReplacing:
    def test_a_preset_of_another_task(self, preset, backbone, classifier):
        classifier.save_to_preset(preset)
        assert_same_weights(ImageClassifier.from_preset(preset), classifier)
        backbone.save_to_preset(preset)
        assert_same_weights(CSPDarkNetBackbone.from_preset(preset), backbone)
        assert [p.name for p in preset.parent.iterdir()] == ["preset"]

    def test_the_metadata_are_replaced_too(self, preset, classifier):
        classifier.save_to_preset(preset)
        metadata = json.loads((preset / "metadata.json").read_text())
        assert metadata["parameter_count"] == classifier.count_params()

    def test_a_failed_save_leaves_the_old_preset(self, preset, backbone, monkeypatch):
        def full_disk(*args, **kwargs):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(Path, "write_bytes", full_disk)
        with pytest.raises(OSError, match="No space left"):
            CSPDarkNetBackbone([8], [1], True).save_to_preset(preset)
        assert_same_weights(CSPDarkNetBackbone.from_preset(preset), backbone)
        assert [p.name for p in preset.parent.iterdir()] == ["preset"]

    def test_other_folders_are_left_alone(self, tmp_path, tiny_net):
        (tmp_path / "thesis.txt").write_text("years of work")
        (tmp_path / "config.json").write_text('{"my": "app"}')
        for target in (tmp_path, tmp_path / "thesis.txt"):
            with pytest.raises(ValueError, match="not a preset folder"):
                tiny_net.save_to_preset(target)
        with pytest.raises(ValueError, match="push_to"):
            tiny_net.save_to_preset("hf://me/net")
        assert (tmp_path / "thesis.txt").read_text() == "years of work"

    def test_other_files_in_a_preset_are_kept(self, preset, tiny_net):
        (preset / "README.md").write_text("my model card")
        link = preset.parent / "link"
        link.symlink_to(preset)
        tiny_net.save_to_preset(link)
        assert link.is_symlink()
        assert (preset / "README.md").read_text() == "my model card"
        assert CSPDarkNetBackbone.from_preset(preset).include_rescaling is False


def test_a_compiled_model_leaves_no_trace(tmp_path):
    model = randomize(CSPDarkNetBackbone(**TINY_NET, include_rescaling=True))
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    model.save_to_preset(tmp_path / "p")
    assert "compile_config" not in (tmp_path / "p" / "config.json").read_text()
    weights = tmp_path / "p" / "model.weights.h5"
    with h5py.File(weights) as file:
        assert set(file) == {"layers"}
    assert_same_weights(CSPDarkNetBackbone.from_preset(tmp_path / "p"), model)
    # Keras's own way of saving keeps the optimizer's state, which is not a weight of the model.
    model.save_weights(weights)
    assert_same_weights(CSPDarkNetBackbone.from_preset(tmp_path / "p"), model)


@pytest.mark.one_backend
def test_other_models(tmp_path):
    other = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(ValueError, match="must be a CSPDarkNetBackbone"):
        save_preset(other, tmp_path / "p")
    assert not list(tmp_path.iterdir())
