"""`cspdarknet benchmark` and the count of arithmetic."""

import sys

import numpy as np
import pytest
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.export import build_onnx, export
from cspdarknet.export.onnx.flops import count_flops
from cspdarknet.inference.runtimes import is_installed
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from support import needs_channels_first

pytestmark = pytest.mark.one_backend

FAST = ("--image-size", "32", "--seconds", "0.01")


def run(*arguments):
    return CliRunner().invoke(app, ["benchmark", *map(str, arguments)], env={"COLUMNS": "160"})


def rows(output):
    """Return the cells of the table, by runtime and precision."""
    lines = [line.split("│") for line in output.splitlines() if "│" in line]
    cells = [[cell.strip() for cell in line[1:-1]] for line in lines]
    return {(name, precision): rest for name, precision, *rest in cells}


@pytest.fixture
def backbone():
    return CSPDarkNetBackbone([16, 32], [1, 1], include_rescaling=True)


@pytest.fixture
def preset(backbone, tmp_path):
    backbone.save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


def test_each_installed_runtime_has_a_row(preset):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    pytest.importorskip("nncf")
    result = run(preset, "--batch", 2, *FAST)
    assert result.exit_code == 0, result.output
    found = rows(result.output)
    runtimes = [("keras", "float32"), ("onnxruntime", "float32"), ("onnxruntime", "int8")]
    assert {*runtimes, ("openvino", "float32"), ("openvino", "int8")} <= set(found)
    for milliseconds, images, share in found.values():
        assert float(images) == pytest.approx(2e3 / float(milliseconds), rel=0.1)
        assert share.endswith("%")
    assert "2 x 32 x 32 pixels" in result.output


def test_without_nncf_openvino_has_no_row_for_int8(preset, monkeypatch):
    pytest.importorskip("openvino")
    for module in ("cspdarknet.cli.benchmark", "cspdarknet.inference.model_source"):
        monkeypatch.setattr(
            sys.modules[module],
            "is_installed",
            lambda *modules: "nncf" not in modules and is_installed(*modules),
        )
    result = run(preset, *FAST)
    assert result.exit_code == 0, result.output
    found = rows(result.output)
    assert ("openvino", "float32") in found
    assert ("openvino", "int8") not in found
    assert "pip install 'cspdarknet[int8]'" in result.output


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_an_exported_file_runs_on_the_runtimes_that_read_it(backbone, tmp_path, suffix):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    path = tmp_path / f"model{suffix}"
    export(backbone, path)
    result = run(path, "--threads", 1, *FAST)
    assert result.exit_code == 0, result.output
    expected = {"openvino"} | ({"onnxruntime"} if suffix == ".onnx" else set())
    found = rows(result.output)
    assert {name for name, _ in found} == expected
    assert all(bool(share) == (suffix == ".onnx") for *_, share in found.values())


def test_int8_for_onnxruntime_runs_on_it_alone(backbone, tmp_path):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("openvino")
    path = tmp_path / "model.onnx"
    export(backbone, path, precision="int8", calibration=[np.zeros((32, 32, 3), "uint8")])
    result = run(path, *FAST)
    assert result.exit_code == 0, result.output
    assert set(rows(result.output)) == {("onnxruntime", "int8")}


@needs_channels_first
def test_a_file_that_is_channels_first_has_a_share(tmp_path):
    pytest.importorskip("onnxruntime")
    model = CSPDarkNetBackbone([16, 32], [1, 1], True, data_format="channels_first")
    (tmp_path / "model.onnx").write_bytes(build_onnx(model).SerializeToString())
    result = run(tmp_path / "model.onnx", *FAST)
    assert result.exit_code == 0, result.output
    assert all(share.endswith("%") for *_, share in rows(result.output).values())


def test_arithmetic_that_cannot_be_counted_leaves_the_share_empty(backbone, tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")

    def fail(*_):
        raise ValueError

    monkeypatch.setattr(sys.modules["cspdarknet.export.onnx.flops"], "count_flops", fail)
    (tmp_path / "model.onnx").write_bytes(build_onnx(backbone).SerializeToString())
    result = run(tmp_path / "model.onnx", *FAST)
    assert result.exit_code == 0, result.output
    assert {share for *_, share in rows(result.output).values()} == {""}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--batch", 0), "batch"),
        (("--image-size", -1), "image-size"),
        (("--threads", 0), "threads"),
        (("--seconds", 0), "seconds"),
        (("--seconds", "nan"), "seconds"),
    ],
)
def test_bad_arguments_are_refused(arguments, told):
    result = run("csp_darknet_tiny", *arguments)
    assert result.exit_code != 0
    assert told in (result.output + str(result.exception))


def test_a_missing_file_is_named():
    result = run("no_such.xml")
    assert result.exit_code != 0
    assert "no_such.xml" in str(result.exception)


@pytest.mark.parametrize(("size", "gflop"), [("tiny", 0.766), ("s", 1.333), ("m", 4.090)])
def test_the_arithmetic_of_the_sizes(size, gflop):
    pytest.importorskip("onnx")
    graph = build_onnx(CSPDarkNetBackbone.from_preset(f"csp_darknet_{size}"))
    assert count_flops(graph, (1, 224, 224, 3)) / 1e9 == pytest.approx(gflop, abs=1e-3)
    assert count_flops(graph, (2, 224, 224, 3)) == 2 * count_flops(graph, (1, 224, 224, 3))


def test_the_arithmetic_of_a_dense_layer(backbone):
    pytest.importorskip("onnx")
    base = count_flops(build_onnx(backbone), (1, 64, 64, 3))
    classifier = build_onnx(ImageClassifier(backbone, num_classes=10))
    assert count_flops(classifier, (1, 64, 64, 3)) == base + 2 * 32 * 10
