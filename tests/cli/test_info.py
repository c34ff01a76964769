"""`cspdarknet info` and `cspdarknet presets`."""

import importlib.metadata

import keras
import pytest

from cspdarknet.models import CSPDarkNetBackbone
from support import run_command


def test_info_lists_packages_backend_and_runtimes():
    output = run_command("info").output
    assert keras.__version__ in output
    assert keras.backend.backend() in output
    for package in ("openvino", "onnxruntime"):
        pytest.importorskip(package)
        assert importlib.metadata.version(package) in output
    (line,) = [line for line in output.splitlines() if "runtimes" in line]
    assert all(name in line for name in ("openvino", "onnxruntime", "keras"))


@pytest.mark.one_backend
def test_presets_show_their_task():
    lines = run_command("presets").output.splitlines()
    for name in CSPDarkNetBackbone.presets:
        (line,) = [line for line in lines if f" {name} " in line]
        task = "detection" if name.startswith("yolox") else "features"
        assert ("classification" if "clothing" in name else task) in line
    assert any("56.84M" in line for line in lines)
