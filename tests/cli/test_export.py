"""`cspdarknet export`."""

import re

import pytest
from PIL import Image
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.models import CSPDarkNetBackbone
from support import TINY_NET

pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
pytestmark = pytest.mark.one_backend


def run(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)], env={"COLUMNS": "200"})


def session(path):
    return ort.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.fixture
def preset(tmp_path):
    CSPDarkNetBackbone(**TINY_NET, include_rescaling=True).save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


def test_a_classifier(tmp_path):
    out = tmp_path / "garments.onnx"
    result = run("csp_darknet_tiny_clothing", out)
    assert result.exit_code == 0, result.output
    row = re.search(r"onnx +float32 +([\d.]+) MB +([\d.e-]+)", result.output)
    assert 9 < float(row[1]) < 10
    assert float(row[2]) < 1e-5
    (images,) = session(out).get_inputs()
    assert images.type == "tensor(uint8)"


def test_levels_and_int8(preset, tmp_path):
    for i in range(4):
        Image.effect_noise((96, 96), 80).convert("RGB").save(tmp_path / f"{i}.png")
    out = tmp_path / "pyramid.onnx"
    options = ("--levels", "P2,P3", "--precision", "int8", "--calibration", tmp_path)
    result = run(preset, out, *options)
    assert result.exit_code == 0, result.output
    assert "int8" in result.output
    assert [output.name for output in session(out).get_outputs()] == ["P2", "P3"]


def test_all_levels(preset, tmp_path):
    result = run(preset, tmp_path / "pyramid.onnx", "--levels", "all")
    assert result.exit_code == 0, result.output
    outputs = session(tmp_path / "pyramid.onnx").get_outputs()
    assert [output.name for output in outputs] == ["P2", "P3"]


def test_levels_of_the_backbone_of_a_detector(tmp_path):
    result = run("yolox_nano_bccd", tmp_path / "pyramid.onnx", "--levels", "P3")
    assert result.exit_code == 0, result.output
    (output,) = session(tmp_path / "pyramid.onnx").get_outputs()
    assert output.name == "P3"
