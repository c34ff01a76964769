"""The formats that Keras and PyTorch write in a subprocess."""

import importlib.util
import subprocess

import pytest

from cspdarknet.export import export, keras_formats
from cspdarknet.export.inference_graph import inference_graph
from support import TINY_NET

pytestmark = pytest.mark.one_backend
TOLERANCE = 1e-5  # of the largest value


def _needs(package):
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed")


@pytest.mark.slow
@_needs("tensorflow")
def test_saved_model_replaces_an_earlier_one(classifier, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "saved_model.pb").write_text("an older one")
    (tmp_path / "model" / "old").write_text("of the older one")
    result = export(classifier, tmp_path / "model")
    assert result.comparison.max_relative_error < TOLERANCE
    assert "old" not in {path.name for path in (tmp_path / "model").iterdir()}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert result.num_bytes > 10_000


@pytest.mark.slow
@_needs("tensorflow")
def test_litert(tiny_detector, tmp_path):
    result = export(tiny_detector, tmp_path / "detector.tflite", raw_outputs=True)
    assert result.comparison.max_relative_error < TOLERANCE
    assert result.info.raw_outputs
    assert [path.name for path in tmp_path.iterdir()] == ["detector.tflite"]


@_needs("torch")
def test_a_failure_of_the_exporter_is_reported(classifier, noise, tmp_path, monkeypatch):
    failed = subprocess.CompletedProcess([], 1, "", "Traceback:\nRuntimeError: no such operator\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    graph, _ = inference_graph(classifier)
    with pytest.raises(ValueError, match="exporter of the format torch failed: RuntimeError: no"):
        keras_formats.write(graph, tmp_path / "m.pt2", "torch", noise(32, 32))


def test_fixed_image_sizes(backbone, classifier, detector):
    sizes = {
        (format, model.name): keras_formats.fixed_image_size(format, model)
        for format in ("onnx", "litert", "torch")
        for model in (backbone, classifier, detector)
    }
    fixed = type(backbone)(**TINY_NET, include_rescaling=True, input_shape=(64, 64, 3))
    assert keras_formats.fixed_image_size("torch", fixed) is None
    assert [sizes["torch", m.name] for m in (backbone, classifier, detector)] == [224, 64, 96]
    assert [sizes["litert", m.name] for m in (backbone, classifier, detector)] == [None, 64, 96]
    assert {sizes["onnx", m.name] for m in (backbone, classifier, detector)} == {None}


def test_pytorch_fixes_the_batch_size_of_nms(detector):
    with_nms, _ = inference_graph(detector)
    raw, _ = inference_graph(detector, raw_outputs=True)
    assert keras_formats.max_batch_size("torch", with_nms) == 1
    assert keras_formats.max_batch_size("torch", raw) is None
    assert keras_formats.max_batch_size("onnx", with_nms) is None
