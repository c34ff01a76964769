"""Recognition of weight files by their content."""

import struct

import numpy as np
import pytest

from cspdarknet import conversion
from cspdarknet.checkpoints.formats import open_checkpoint
from cspdarknet.checkpoints.readers import torch as torch_files
from cspdarknet.models import load_model
from onnx_files import yolox_onnx
from support import assert_same_weights
from yolox_files import yolox_like

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.bin", b"GIF89a\0", "unknown format"),
        ("a.h5", b"\xff\xff", "damaged"),
        ("a.keras", b"\xff\xff", "damaged"),
        ("a.pth", b"\xff\xff", "version 1.6"),
        ("a.safetensors", struct.pack("<Q", 9) + b"{not json", "damaged"),
        ("a.onnx", b"\xff\xff", "damaged|not a YOLOX"),
    ],
)
def test_unknown_and_damaged_files(name, data, message, tmp_path, refuses):
    for package in ("safetensors", "onnx"):
        if name.endswith(package):
            pytest.importorskip(package)
    (tmp_path / name).write_bytes(data)
    refuses(tmp_path / name, message)


def test_an_onnx_file_of_any_name(state_dict, tmp_path):
    pytest.importorskip("onnx")
    (tmp_path / "a.bin").write_bytes(yolox_onnx(load_model(state_dict)))
    with open_checkpoint(tmp_path / "a.bin") as checkpoint:
        assert checkpoint.format == "ONNX export of YOLOX"


def test_weights_of_yolox_in_safetensors(state_dict, tmp_path):
    writer = pytest.importorskip("safetensors.numpy")
    writer.save_file(torch_files.read_torch(state_dict), tmp_path / "a.safetensors")
    assert_same_weights(load_model(tmp_path / "a.safetensors"), yolox_like())


def test_safetensors_of_other_networks(tmp_path, refuses):
    writer = pytest.importorskip("safetensors.numpy")
    for name, message in (
        ("stages.0.conv_transition.conv.weight", "timm's CSPDarkNet without its stem"),
        ("a", "another network"),
    ):
        writer.save_file({name: np.ones(2, "float32")}, tmp_path / "a.safetensors")
        refuses(tmp_path / "a.safetensors", f"a file with weights of {message}")


def test_an_onnx_file_of_ultralytics(state_dict, tmp_path, refuses):
    onnx = pytest.importorskip("onnx")
    proto = onnx.ModelProto()
    onnx.helper.set_model_props(proto, {"author": "Ultralytics"})
    (tmp_path / "a.onnx").write_bytes(proto.SerializeToString())
    refuses(tmp_path / "a.onnx", "an ONNX export of Ultralytics")


def test_not_a_file(tmp_path, refuses):
    refuses(tmp_path / "none.h5", "no weight file")
    refuses(tmp_path, "no weight file")


@pytest.mark.parametrize(
    ("suffix", "file_format"),
    [
        (".weights.h5", "Keras"),
        (".keras", ".keras"),
        (".pth", "YOLOX, PyTorch"),
        (".safetensors", "safetensors"),
    ],
)
def test_the_name_does_not_matter(suffix, file_format, tmp_path):
    if suffix == ".safetensors":
        pytest.importorskip("safetensors")
    conversion.save(yolox_like(), tmp_path / f"a{suffix}")
    renamed = (tmp_path / f"a{suffix}").rename(tmp_path / "renamed.bin")
    with open_checkpoint(renamed) as checkpoint:
        assert (checkpoint.format, checkpoint.path) == (file_format, renamed)
