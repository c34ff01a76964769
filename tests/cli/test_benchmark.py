"""`cspdarknet benchmark`."""

import sys

import pytest
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.cli import benchmark as command
from cspdarknet.inference.runtimes import is_installed
from cspdarknet.models import CSPDarkNetBackbone
from support import TINY_NET

pytestmark = pytest.mark.one_backend

FAST = ("--image-size", "32", "--seconds", "0.01")


def run(*arguments):
    return CliRunner().invoke(app, ["benchmark", *map(str, arguments)], env={"COLUMNS": "160"})


@pytest.fixture
def preset(tmp_path):
    CSPDarkNetBackbone(**TINY_NET, include_rescaling=True).save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


def test_the_table(preset):
    pytest.importorskip("onnx")
    result = run(preset, "--batch-size", 2, *FAST)
    assert result.exit_code == 0, result.output
    assert "2 x 32 x 32 pixels" in result.output
    lines = [line.split() for line in result.output.splitlines()]
    rows = {tuple(line[:2]): line[2:] for line in lines}
    milliseconds, images, fraction = rows["keras", "float32"]
    assert float(images) == pytest.approx(2e3 / float(milliseconds), rel=0.1)
    assert fraction.endswith("%")


def test_without_nncf_the_extra_is_named(preset, monkeypatch):
    pytest.importorskip("openvino")
    for module in (command.__module__, "cspdarknet.inference.model_source"):
        monkeypatch.setattr(
            sys.modules[module],
            "is_installed",
            lambda *modules: "nncf" not in modules and is_installed(*modules),
        )
    assert "pip install 'cspdarknet[int8]'" in run(preset, *FAST).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("csp_darknet_tiny", "--batch-size", 0), "batch-size"),
        (("csp_darknet_tiny", "--image-size", -1), "image-size"),
        (("csp_darknet_tiny", "--threads", 0), "threads"),
        (("csp_darknet_tiny", "--seconds", 0), "seconds"),
        (("no_such.xml",), "no_such.xml"),
    ],
)
def test_invalid_arguments(arguments, message):
    result = run(*arguments)
    assert result.exit_code != 0
    assert message in (result.output + str(result.exception))
