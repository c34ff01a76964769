"""Inference speed on each installed runtime."""

import sys

import numpy as np
import pytest

from cspdarknet.export import export
from cspdarknet.inference import benchmark_runtimes, model_source
from cspdarknet.inference.runtimes import is_installed
from cspdarknet.models import CSPDarkNetBackbone
from support import needs_channels_first

pytestmark = pytest.mark.one_backend

FAST = {"image_size": 32, "seconds": 0.01}


@pytest.fixture(scope="module")
def backbone():
    return CSPDarkNetBackbone([16, 32], [1, 1], include_rescaling=True)


@pytest.fixture
def preset(backbone, tmp_path):
    backbone.save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


def variants(comparison):
    return {(speed.runtime, speed.precision) for speed in comparison.speeds}


def test_each_installed_runtime_is_measured(preset):
    for module in ("onnxruntime", "openvino", "nncf"):
        pytest.importorskip(module)
    steps = []
    comparison = benchmark_runtimes(preset, batch_size=2, on_step=steps.append, **FAST)
    assert variants(comparison) - {("openvino", "bfloat16")} == {
        *(("keras", "float32"), ("onnxruntime", "float32"), ("onnxruntime", "int8")),
        *(("openvino", "float32"), ("openvino", "int8")),
    }
    assert comparison.image_size == 32
    seconds = [speed.seconds for speed in comparison.speeds]
    assert seconds == sorted(seconds)
    for speed in comparison.speeds:
        fraction = comparison.fraction_of_peak(speed)
        assert fraction == comparison.flops / speed.seconds / comparison.peak
    assert steps[0].startswith("starting ")
    assert steps[-1] == "measuring"


def test_without_nncf_openvino_is_not_measured_in_int8(preset, monkeypatch):
    pytest.importorskip("openvino")
    monkeypatch.setattr(
        model_source,
        "is_installed",
        lambda *modules: "nncf" not in modules and is_installed(*modules),
    )
    comparison = benchmark_runtimes(preset, **FAST)
    assert ("openvino", "float32") in variants(comparison)
    assert ("openvino", "int8") not in variants(comparison)


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_a_file_is_measured_on_the_runtimes_that_read_it(backbone, tmp_path, suffix):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    path = tmp_path / f"model{suffix}"
    export(backbone, path)
    comparison = benchmark_runtimes(path, threads=1, **FAST)
    expected = {"openvino"} | ({"onnxruntime"} if suffix == ".onnx" else set())
    assert {speed.runtime for speed in comparison.speeds} == expected
    assert (comparison.flops is None) == (suffix == ".xml")


def test_an_int8_file_is_measured_in_int8(backbone, tmp_path):
    pytest.importorskip("onnxruntime")
    path = tmp_path / "model.onnx"
    export(backbone, path, precision="int8", calibration=[np.zeros((32, 32, 3), "uint8")])
    assert variants(benchmark_runtimes(path, **FAST)) == {("onnxruntime", "int8")}


@needs_channels_first
def test_flops_of_a_channels_first_file(onnx_file):
    model = CSPDarkNetBackbone([16, 32], [1, 1], True, data_format="channels_first")
    assert benchmark_runtimes(onnx_file(model), **FAST).flops > 0


def test_flops_that_cannot_be_counted_are_left_out(backbone, onnx_file, monkeypatch):
    def fail(*_):
        raise ValueError

    monkeypatch.setattr(sys.modules["cspdarknet.export.onnx.flops"], "count_flops", fail)
    comparison = benchmark_runtimes(onnx_file(backbone), **FAST)
    assert comparison.flops is None
    assert comparison.fraction_of_peak(comparison.speeds[0]) is None


@pytest.mark.parametrize("seconds", [0, float("nan")])
def test_seconds_must_be_positive(seconds):
    with pytest.raises(ValueError, match="`seconds` must be greater than 0"):
        benchmark_runtimes("csp_darknet_tiny", seconds=seconds)


def test_a_file_without_an_installed_runtime(backbone, onnx_file, monkeypatch):
    monkeypatch.setattr(model_source, "is_installed", lambda *_: False)
    with pytest.raises(ImportError, match=r"No runtime for .*model\.onnx is installed"):
        benchmark_runtimes(onnx_file(backbone), **FAST)
