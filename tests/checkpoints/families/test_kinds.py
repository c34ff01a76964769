"""Recognition of files of other kinds by their first bytes."""

import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from cspdarknet.checkpoints.families import kinds
from cspdarknet.checkpoints.formats import open_checkpoint
from cspdarknet.checkpoints.weight_file import ForeignFileError

pytestmark = pytest.mark.one_backend

POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0a\nsize 5\n"
LEGACY = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2) + pickle.dumps(1001, protocol=2)


def archive(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        for name in names:
            file.writestr(name, b"x")
    return stream.getvalue()


def tar(name):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as file:
        file.addfile(tarfile.TarInfo(name))
    return stream.getvalue()


def numpy_bytes():
    stream = io.BytesIO()
    np.save(stream, np.ones(2))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "what", "remedy"),
    [
        ("a.pth", POINTER, "a Git LFS pointer", "git lfs pull"),
        ("a.onnx", POINTER, "a Git LFS pointer", "git lfs pull"),
        ("a.h5", b"", "an empty file", "download"),
        ("a.pth", b"<!DOCTYPE html><html>", "a web page", "download the file itself"),
        ("a.pt", b"\n <html lang=en>", "a web page", "download the file itself"),
        ("a.pth", b"Not Found", "a text", "pass the weight file itself"),
        ("config.json", b'{"class_name": ""}', "the config of a preset", "the folder"),
        ("a.pt", archive("m/data.pkl", "m/constants.pkl"), "a TorchScript archive", "torch.jit"),
        ("a.pt", archive("m/code/__torch__.py"), "a TorchScript archive", "torch.jit"),
        ("a.zip", archive("best/yolox.pth"), "a zip archive with 'best/yolox.pth'", "unpack"),
        ("a.zip", archive("word/document.xml"), "a zip archive without", "load the weights"),
        ("a.zip", archive("m/saved_model.pb"), "a TensorFlow SavedModel", "Keras"),
        ("a.npz", archive("a.npy", "b.npy"), "a file of NumPy arrays", "load the weights"),
        ("a.npy", numpy_bytes(), "a file of NumPy arrays", "load the weights"),
        ("a.tar", tar("yolox.pth"), "a tar archive", "unpack"),
        ("a.pth", tar("sys_info"), "a PyTorch file of a version before 1.6", "newer PyTorch"),
        ("a.pth", LEGACY, "a PyTorch file of a version before 1.6", "newer PyTorch"),
        ("a.pkl", pickle.dumps({"a": 1}), "a Python pickle", "torch.save"),
        ("a.gz", b"\x1f\x8b\x08\x00", "a gzip archive", "unpack"),
        ("a.bin", b"\x1c\0\0\0TFL3\0", "a TensorFlow Lite model", "load the weights"),
        ("a.engine", b"\x90\x01\0\0{", "a TensorRT engine", "load the weights"),
        ("a.weights", bytes(4) + b"\2\0\0\0\5\0\0\0", "a weight file of the Darknet", "OpenCV"),
        ("model.pb", b"\x08\x01\x12", "a TensorFlow SavedModel", "Keras"),
        ("a.xml", b'<?xml version="1.0"?>\n<net name="a"', "an OpenVINO model", "load the"),
    ],
)
def test_known_kinds(name, content, what, remedy, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ForeignFileError) as error:
        open_checkpoint(path)
    assert str(error.value).startswith(f"{path} is {what}")
    assert remedy in error.value.file.remedy
    assert not error.value.file.is_loadable


def test_a_saved_model(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ForeignFileError, match="is a TensorFlow SavedModel: save the Keras model"):
        open_checkpoint(tmp_path)


def test_unknown_content(tmp_path):
    for content in (b"GIF89a\x01\x00", b"PK\x03\x04 cut off", archive("m/data.pkl")):
        path = tmp_path / "a.bin"
        path.write_bytes(content)
        assert kinds.recognize(path, content[: kinds.START_BYTES]) is None
