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
    for name, entry in CSPDarkNetBackbone.presets.items():
        (line,) = [line for line in lines if line.startswith(f"{name} ")]
        assert entry["task"] in line
    assert any("56.84M" in line for line in lines)


@pytest.mark.one_backend
def test_what_a_preset_is():
    lines = run_command("info", "yolox_nano_bccd").output.splitlines()
    facts = dict(line.split(None, 1) for line in lines if line.strip())
    assert facts["classes"].strip() == "3: Platelets, RBC, WBC"
    assert facts["license"].strip() == "MIT"


@pytest.mark.one_backend
def test_what_a_file_is(state_dict, tmp_path):
    output = run_command("info", state_dict).output
    assert "BGR images of 0..255 (stem 0.000" in output
    assert "it does not state its activation" in output
    (tmp_path / "a.pth").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    output = run_command("info", tmp_path / "a.pth").output
    assert "a Git LFS pointer" in output
    assert "no: run `git lfs pull`" in output
