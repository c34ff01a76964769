"""The models that a `Predictor` takes, and the choice of the runtime that runs one."""

import sys
import warnings

import numpy as np
import pytest

from cspdarknet.detections import DetectionOptions
from cspdarknet.export import build_onnx, export
from cspdarknet.inference import Predictor, model_source, runtime_choice
from cspdarknet.inference.keras_runtime import KerasRuntime
from cspdarknet.inference.model_source import file_runtimes, graph_runtimes
from cspdarknet.inference.runtimes import is_installed

pytestmark = pytest.mark.one_backend


@pytest.fixture
def without(monkeypatch):
    """Makes modules look as if they were not installed."""

    def remove(*missing):
        for module in missing:
            monkeypatch.setitem(sys.modules, module, None)
        monkeypatch.setattr(
            model_source,
            "is_installed",
            lambda *modules: not set(modules) & set(missing) and is_installed(*modules),
        )

    return remove


# The choice of a runtime.


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        ((), "openvino"),
        (("openvino",), "onnxruntime"),
        (("openvino", "onnxruntime"), "keras"),
        (("onnx",), "keras"),
    ],
)
def test_the_default_is_the_preferred_of_the_installed_runtimes(
    classifier, files, without, missing, expected
):
    for module in {"openvino", "onnxruntime", "onnx"} - set(missing):
        pytest.importorskip(module)
    without(*missing)
    predictor = Predictor(classifier)
    assert predictor.runtime == expected
    assert predictor(files[0]).shape == (3,)


def test_the_default_for_a_file(classifier, onnx_file, without):
    pytest.importorskip("openvino")
    file = onnx_file(classifier)
    assert Predictor(file).runtime == "openvino"
    without("openvino")
    assert Predictor(file).runtime == "onnxruntime"
    without("openvino", "onnxruntime")
    with pytest.raises(ImportError, match="No installed runtime can run the model in float32"):
        Predictor(file)


def test_the_fastest(classifier, files, runtime):
    predictor = Predictor(classifier, runtime="fastest")
    assert predictor.runtime in graph_runtimes("float32")
    assert predictor(files[0]).shape == (3,)


def test_the_fastest_is_started_once_with_an_iterator_of_images(classifier, readable, monkeypatch):
    pytest.importorskip("onnxruntime")
    calibrations, started, seconds = [], [], iter([0.3, 0.1, 0.2])

    def start(self, runtime):
        calibrations.append(list(self.settings.calibration))
        started.append(runtime)
        return KerasRuntime(classifier)

    monkeypatch.setattr(model_source.KerasModel, "runtimes", ["a", "b", "c"])
    monkeypatch.setattr(model_source.KerasModel, "start", start)
    monkeypatch.setattr(runtime_choice, "_seconds_per_batch", lambda *_: next(seconds))
    once = (path for path in readable)
    predictor = Predictor(classifier, runtime="fastest", precision="int8", calibration=once)
    assert predictor.runtime == "b"
    assert started == ["a", "b", "c"]
    assert calibrations == [readable] * 3


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_missing_runtime_is_one_sentence(classifier, monkeypatch, name):
    pytest.importorskip("onnx")
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ImportError, match=rf"pip install 'cspdarknet\[{name}\]'"):
        Predictor(classifier, runtime=name)


# Precisions.


@pytest.mark.parametrize(("runtime", "tool"), [("onnxruntime",) * 2, ("openvino", "nncf")])
def test_int8(classifier, readable, runtime, tool):
    pytest.importorskip(tool)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictor = Predictor(classifier, runtime=runtime, precision="int8", calibration=readable)
    assert predictor.info.precision == "int8"
    expected = Predictor(classifier, runtime="keras")(readable[0])
    np.testing.assert_allclose(predictor(readable[0]), expected, atol=0.1)
    with pytest.raises(ValueError, match="calibration"):
        Predictor(classifier, runtime=runtime, precision="int8")


def test_bfloat16(classifier, files):
    openvino = pytest.importorskip("openvino")
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        probabilities = Predictor(classifier, precision="bfloat16")(files[0])
        np.testing.assert_allclose(probabilities.sum(), 1, atol=0.01)
    else:
        with pytest.raises(ValueError, match="a CPU that computes in bfloat16"):
            Predictor(classifier, precision="bfloat16")


def test_openvino_quantizes_with_nncf(without):
    pytest.importorskip("onnxruntime")
    without("nncf")
    assert "openvino" not in graph_runtimes("int8")
    assert "onnxruntime" in graph_runtimes("int8")


# Files.


def test_an_int8_file_for_onnxruntime_is_not_for_openvino(classifier, tmp_path):
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    (tmp_path / "a.onnx").write_bytes(build_onnx(classifier).SerializeToString())
    assert file_runtimes(tmp_path / "a.onnx") == ["openvino", "onnxruntime"]
    calibration = [np.zeros((32, 32, 3), "uint8")]
    export(classifier, tmp_path / "b.onnx", precision="int8", calibration=calibration)
    assert file_runtimes(tmp_path / "b.onnx") == ["onnxruntime"]
    for runtime in (None, "fastest"):
        assert Predictor(tmp_path / "b.onnx", runtime=runtime).runtime == "onnxruntime"
    with pytest.raises(ValueError, match="use 'onnxruntime'"):
        Predictor(tmp_path / "b.onnx", runtime="openvino")


def test_files_that_cannot_be_run(classifier, onnx_file, tmp_path):
    file = onnx_file(classifier)
    for arguments, message in [
        ({"runtime": "keras"}, "takes Keras models"),
        ({"runtime": "onnxruntime", "precision": "int8"}, "export it in int8"),
        ({"options": DetectionOptions(score_threshold=0.5)}, "`options` must be left out"),
        ({"levels": ["P3"]}, "`levels` must be left out"),
        ({"calibration": [file], "precision": "int8"}, "`calibration` must be left out"),
    ]:
        with pytest.raises(ValueError, match=message):
            Predictor(file, **arguments)
    with pytest.raises(ValueError, match="no file"):
        Predictor(tmp_path / "b.onnx")
