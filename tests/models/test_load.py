"""`load_model`: the class, the weights, and how often a file is parsed."""

import pytest

from cspdarknet import conversion
from cspdarknet.checkpoints import CheckpointError
from cspdarknet.checkpoints.readers import archive, hdf5, onnx, safetensors, torch
from cspdarknet.export import export
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector, load_model
from cspdarknet.presets.config import BEST, LAST, RUN_SETTINGS
from onnx_files import yolox_onnx
from support import GOLDEN, TINY_NET, assert_same_weights, needs_golden, randomize
from yolox_files import NET, build, yolox_like

pytestmark = pytest.mark.one_backend

ARCHITECTURE = {**TINY_NET, "include_rescaling": True}


@pytest.fixture(scope="module")
def classifier():
    return randomize(ImageClassifier(CSPDarkNetBackbone(**ARCHITECTURE), 3, dropout=0.5))


@pytest.fixture(scope="module")
def detector():
    backbone = yolox_like(stackwise_channels=[4, 6, 8], stackwise_depth=[1, 2, 1])
    return randomize(YOLOXDetector(backbone, 3, image_size=32))


class TestTask:
    def test_that_of_the_source(self, classifier, detector, state_dict, tmp_path):
        conversion.save(detector, tmp_path / "detector.pth")
        assert_same_weights(load_model(tmp_path / "detector.pth"), detector)
        classifier.save_to_preset(tmp_path / "classifier")
        assert_same_weights(load_model(tmp_path / "classifier"), classifier)
        assert type(load_model(state_dict)) is CSPDarkNetBackbone

    def test_the_backbone_of_every_source(self, classifier, detector, tmp_path):
        for name, model in (("a.keras", classifier), ("b.pth", detector), ("c", detector)):
            conversion.save(model, tmp_path / name)
            backbone = load_model(tmp_path / name, "features")
            assert type(backbone) is CSPDarkNetBackbone
            assert_same_weights(backbone, model.backbone)

    def test_a_source_for_another_task(self, classifier, detector, tmp_path):
        classifier.save_to_preset(tmp_path / "classifier")
        detector.save_to_preset(tmp_path / "detector")
        for source, task, other in (
            ("classifier", "detection", "classification"),
            ("detector", "classification", "detection"),
            ("classifier", "detection", "classification"),
        ):
            message = f"is a model for {other}.*pass `num_classes`"
            with pytest.raises(ValueError, match=message):
                load_model(tmp_path / source, task)
        model = load_model(tmp_path / "detector", "classification", num_classes=4)
        assert type(model) is ImageClassifier
        assert_same_weights(model.backbone, detector.backbone)

    def test_unknown_tasks(self):
        with pytest.raises(ValueError, match=r"`task` must be one of None, 'features'"):
            load_model("csp_darknet_tiny", "classify")


class TestArguments:
    def test_in_place_of_the_stored_ones(self, classifier, tmp_path):
        classifier.save(tmp_path / "a.keras")
        model = load_model(
            tmp_path / "a.keras", dtype="mixed_bfloat16", activation=None, name="mine"
        )
        assert_same_weights(model, classifier)
        assert (model.name, model.activation) == ("mine", None)
        assert model.backbone.dtype_policy.name == "mixed_bfloat16"
        other = load_model(tmp_path / "a.keras", num_classes=4)
        assert_same_weights(other.backbone, classifier.backbone)
        fresh = load_model(tmp_path / "a.keras", load_weights=False)
        assert fresh.get_config() == classifier.get_config()

    def test_the_model_of_a_run(self, classifier, tmp_path):
        run = tmp_path / "run"
        classifier.save_to_preset(run / BEST)
        ImageClassifier(CSPDarkNetBackbone(**ARCHITECTURE), 5).save_to_preset(run / LAST)
        (run / RUN_SETTINGS).write_text("{}")
        assert_same_weights(load_model(run), classifier)
        assert load_model(run, which=LAST).num_classes == 5

    def test_only_runs_have_a_last_model(self, classifier, tmp_path):
        classifier.save_to_preset(tmp_path / "preset")
        for source in (tmp_path / "preset", "csp_darknet_tiny"):
            with pytest.raises(ValueError, match="which='last' is for the run folder"):
                load_model(source, which=LAST)

    @pytest.mark.parametrize("suffix", [".onnx", ".xml"])
    def test_exported_files_have_no_trainable_weights(self, classifier, tmp_path, suffix):
        pytest.importorskip("onnx" if suffix == ".onnx" else "openvino")
        pytest.importorskip("onnxruntime")
        export(classifier, tmp_path / f"a{suffix}", image_size=32)
        with pytest.raises(
            CheckpointError, match=r"an exported file.*`cspdarknet\.Predictor` runs"
        ):
            load_model(tmp_path / f"a{suffix}")

    def test_a_bare_weight_file_needs_an_architecture(self, classifier, tmp_path):
        conversion.save(build(), tmp_path / "a.weights.h5")
        with pytest.raises(CheckpointError, match="does not tell its architecture"):
            load_model(tmp_path / "a.weights.h5")
        assert_same_weights(load_model(tmp_path / "a.weights.h5", **NET), build())
        conversion.save(classifier, tmp_path / "b.weights.h5")
        assert_same_weights(load_model(tmp_path / "b.weights.h5", **ARCHITECTURE), classifier)
        backbone = load_model(tmp_path / "b.weights.h5", "features", **ARCHITECTURE)
        assert_same_weights(backbone, classifier.backbone)

    @needs_golden
    def test_rescaling_is_assumed_in_kerascv_files(self):
        path = GOLDEN / "legacy_h5" / "notop.h5"
        assert load_model(path, load_weights=False).include_rescaling
        assert not load_model(path, include_rescaling=False).include_rescaling


READERS = {
    ".pth": (torch, "read_torch"),
    ".onnx": (onnx, "read_onnx"),
    ".safetensors": (safetensors.SafetensorsFile, "__init__"),
    ".keras": (archive, "read_archive"),
    ".h5": (hdf5.HDF5File, "__init__"),
    "": (hdf5.HDF5File, "__init__"),  # a preset folder
}
LOADS = {
    "load_model": load_model,
    "features": lambda path: load_model(path, "features"),
    "from_preset": CSPDarkNetBackbone.from_preset,
    "convert": lambda path: conversion.convert(path, path.with_name("out.weights.h5")),
}


@pytest.mark.parametrize(
    "suffix", [pytest.param(s, marks=needs_golden) if s == ".h5" else s for s in READERS]
)
@pytest.mark.parametrize("load", list(LOADS))
def test_a_weight_file_is_parsed_once(suffix, load, state_dict, tmp_path, monkeypatch):
    path = tmp_path / f"a{suffix}"
    if suffix == ".onnx":
        pytest.importorskip("onnx")
        path.write_bytes(yolox_onnx(yolox_like()))
    elif suffix == ".pth":
        path.write_bytes(state_dict.read_bytes())
    elif suffix == ".h5":
        path.write_bytes((GOLDEN / "legacy_h5" / "notop.h5").read_bytes())
    else:
        if suffix == ".safetensors":
            pytest.importorskip("safetensors")
        conversion.save(build(), path)
    owner, name = READERS[suffix]
    read, parses = getattr(owner, name), []

    def counted(*args, **kwargs):
        parses.append(args)
        return read(*args, **kwargs)

    monkeypatch.setattr(owner, name, counted)
    LOADS[load](path)
    assert len(parses) == 1
