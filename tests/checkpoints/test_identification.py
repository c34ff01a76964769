"""What a weight file is."""

import hashlib
import pickle
import zipfile

import keras
import pytest

from cspdarknet import conversion
from cspdarknet.checkpoints import CheckpointError, identify, published
from cspdarknet.checkpoints.readers import torch as torch_files
from cspdarknet.export import export
from cspdarknet.models import ImageClassifier, YOLOXDetector
from onnx_files import yolox_onnx
from support import GOLDEN, NANO, needs_golden, needs_nano
from yolox_files import build, yolox_like

pytestmark = pytest.mark.one_backend


@pytest.fixture(scope="module")
def detector():
    backbone = yolox_like(stackwise_channels=[4, 6, 8], stackwise_depth=[1, 2, 1])
    return YOLOXDetector(backbone, 3, image_size=32)


def test_a_state_dict(detector, tmp_path):
    conversion.save(detector, tmp_path / "a.pth")
    file = identify(tmp_path / "a.pth")
    assert file.is_loadable
    assert (file.family, file.format, file.task) == ("YOLOX", "YOLOX, PyTorch", "detection")
    assert (file.num_classes, file.class_names, file.image_size) == (3, None, 416)
    assert (file.input_convention, file.activation) == ("bgr", "silu")
    assert file.version.startswith("0.1.1")
    assert file.num_parameters == detector.count_params()
    assert (file.sha256, file.license) == (None, None)
    assert any("class_names" in note for note in file.notes)
    assert any("activation" in note for note in file.notes)


def test_weights_of_normalized_images(state_dict, tmp_path):
    arrays = torch_files.read_torch(state_dict)
    arrays["stem.conv.bn.weight"] = arrays["stem.conv.bn.weight"] * 60
    torch_files.write_torch(tmp_path / "a.pth", arrays)
    file = identify(tmp_path / "a.pth")
    assert (file.input_convention, file.version) == ("normalized", "0.0.1, or a re-implementation")
    assert file.stem_magnitude == pytest.approx(60 * identify(state_dict).stem_magnitude)
    assert any("input_convention" in note for note in file.notes)


def test_an_onnx_file(detector, tmp_path):
    pytest.importorskip("onnx")
    (tmp_path / "a.bin").write_bytes(yolox_onnx(detector, activation="relu", size=(64, 96)))
    file = identify(tmp_path / "a.bin")
    assert (file.family, file.activation, file.image_size) == ("YOLOX", "relu", 96)
    assert not any("activation" in note for note in file.notes)


@pytest.mark.parametrize("suffix", [".safetensors", ".keras"])
def test_files_of_this_package(suffix, tmp_path):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    model = ImageClassifier(build(), 2, class_names=["cat", "dog"])
    conversion.save(model, tmp_path / f"a{suffix}")
    file = identify(tmp_path / f"a{suffix}")
    assert (file.family, file.task) == ("cspdarknet", "classification")
    assert file.class_names == ("cat", "dog")
    assert file.num_parameters == model.count_params()


def test_bare_weights(tmp_path):
    conversion.save(build(), tmp_path / "a.weights.h5")
    file = identify(tmp_path / "a.weights.h5")
    assert (file.family, file.task) == ("cspdarknet", None)
    assert any("config.json" in note for note in file.notes)
    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3)])
    other.save_weights(tmp_path / "b.weights.h5")
    file = identify(tmp_path / "b.weights.h5")
    assert file.description == "a Keras weight file of another network"
    assert not file.is_loadable


@needs_golden
def test_kerascv():
    file = identify(GOLDEN / "legacy_h5" / "top.h5")
    assert (file.family, file.format) == ("KerasCV", "KerasCV, Keras 2")
    assert (file.task, file.num_classes, file.input_convention) == ("classification", 10, "rgb")


def test_files_that_cannot_be_loaded(tmp_path):
    (tmp_path / "a.pth").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    file = identify(tmp_path / "a.pth")
    assert file.description.startswith("a Git LFS pointer")
    assert "git lfs pull" in file.remedy
    with zipfile.ZipFile(tmp_path / "b.pth", "w") as archive:
        archive.writestr("a/data.pkl", pickle.dumps([1]))
    file = identify(tmp_path / "b.pth")
    assert not file.is_loadable
    assert "does not hold a CSPDarkNet" in file.remedy
    with pytest.raises(CheckpointError, match="no weight file"):
        identify(tmp_path / "c.pth")


def test_an_exported_file(tmp_path):
    pytest.importorskip("onnx")
    export(build(), tmp_path / "a.onnx")
    file = identify(tmp_path / "a.onnx")
    assert (file.family, file.format) == ("cspdarknet", "ONNX")
    assert "Predictor" in file.remedy


def test_the_license_of_a_published_file(state_dict, monkeypatch):
    digest = hashlib.sha256(state_dict.read_bytes()).hexdigest()
    file = identify(state_dict, sha256=True)
    assert (file.sha256, file.license) == (digest, None)
    monkeypatch.setitem(published.SHA256, "yolox_s.pth", digest)
    file = identify(state_dict, sha256=True)
    assert file.license == "Apache-2.0"
    assert file.notes[0] == "the published file yolox_s.pth"


@needs_nano
def test_the_official_weights():
    for name in ("yolox_nano.pth", "yolox_nano.onnx"):
        file = identify(NANO / name)
        assert (file.num_classes, file.image_size, file.input_convention) == (80, 416, "bgr")
        assert file.class_names[0] == "person"
        assert 0.0005 < file.stem_magnitude < 0.006
