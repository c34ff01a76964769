"""PyTorch files: read and written without PyTorch, and without executing their code."""

import pickle
import zipfile

import numpy as np
import pytest

from cspdarknet.checkpoints import CheckpointError, limits
from cspdarknet.checkpoints.readers import torch as torch_files
from cspdarknet.checkpoints.readers.zip_file import ZipFile

pytestmark = pytest.mark.one_backend


class Attack:
    """Would write a file when unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


def write(path, data, compression=zipfile.ZIP_STORED, **files):
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        for name, content in files.items():
            archive.writestr(f"archive/{name}", content)
    return path


def test_code_is_not_executed(tmp_path, refuses):
    target = tmp_path / "written"
    data = pickle.dumps({"model": Attack(target)}, protocol=2)
    refuses(write(tmp_path / "a.pth", data), r"wants to call .*open")
    assert not target.exists()


@pytest.mark.parametrize(
    "name", ["os system", "builtins eval", "torch load", "subprocess Popen", "torch._utils _x"]
)
def test_other_functions_are_refused(name, tmp_path, refuses):
    module, function = name.split()
    data = b"\x80\x02c" + module.encode() + b"\n" + function.encode() + b"\n)R."
    refuses(write(tmp_path / "a.pth", data), "refused")


def test_compressed_and_foreign_archives(tmp_path, refuses):
    path = tmp_path / "a.pth"
    data = pickle.dumps({})
    refuses(write(path, data, zipfile.ZIP_DEFLATED), "is compressed, which PyTorch files never are")
    refuses(write(path, data, byteorder="big"), "big-endian")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("word/document.xml", "<x/>")
    with pytest.raises(CheckpointError, match=r"no data\.pkl"):
        torch_files.read_torch(path)


@pytest.mark.parametrize("limit", ["MAX_WEIGHT_BYTES", "MAX_PICKLE_BYTES", "MAX_PICKLE_STEPS"])
def test_files_that_claim_too_much(limit, state_dict, monkeypatch, refuses):
    monkeypatch.setattr(limits, limit, 100)
    refuses(state_dict, "refused|too large")


def test_not_a_zip_archive(tmp_path):
    (tmp_path / "a.pth").write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2))
    with pytest.raises(CheckpointError, match=r"version 1\.6 or later"):
        torch_files.read_torch(tmp_path / "a.pth")


@pytest.mark.parametrize(
    ("shape", "strides", "offset", "message"),
    [
        ((1000,), (1,), 0, "reaches beyond"),
        ((2,), (1,), 10**9, "reaches beyond"),
        ((2, 2), (10**6, 1), 0, "reaches beyond"),
        ((4,), (1,), 1, "reaches beyond"),  # by a single number
        ((2,), (4,), 0, "reaches beyond"),
        ((10**6,), (0,), 0, "larger than"),
        ((-1,), (1,), 0, "malformed"),
        ((1 << 200,), (1,), 0, "malformed"),
        ((1,) * 9, (1,) * 9, 0, "malformed"),
        ((1, 1), (1,), 0, "malformed"),
        ((True,), (1,), 0, "malformed"),
        (None, (1,), 0, "malformed"),
    ],
)
def test_tensors_that_reach_beyond_their_bytes(shape, strides, offset, message, tmp_path):
    path = tmp_path / "a.pth"
    torch_files.write_torch(path, {"x": np.ones((4,), "float32")})
    with ZipFile(path) as archive:
        reader = torch_files._Reader(path, archive)
        storage = torch_files._Storage("float32", "archive/data/0", 4)
        with pytest.raises(CheckpointError, match=message):
            reader.tensor(storage, offset, shape, strides)


def test_many_tensors_of_one_storage(tmp_path, monkeypatch):
    """They share its bytes, and their sum is bounded by the size of the file."""
    path = tmp_path / "a.pth"
    torch_files.write_torch(path, {"x": np.ones((1000,), "float32")})
    monkeypatch.setattr(limits, "SPARE_BYTES", 0)
    with ZipFile(path) as archive:
        reader = torch_files._Reader(path, archive)
        storage = torch_files._Storage("float32", "archive/data/0", 1000)
        first = reader.tensor(storage, 0, (1000,), (1,))
        assert np.shares_memory(first, reader.tensor(storage, 500, (100, 2), (2, 1)))
        with pytest.raises(CheckpointError, match="more tensors than a file of its size"):
            reader.tensor(storage, 0, (1000,), (1,))


def test_wrong_storage_sizes(state_dict, tmp_path, refuses):
    path = tmp_path / "a.pth"
    with zipfile.ZipFile(state_dict) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data[:-4] if name.endswith("data/0") else data)
    refuses(path, "were declared")


def test_pytorch_reads_what_is_written(state_dict):
    torch = pytest.importorskip("torch")
    ours = torch_files.read_torch(state_dict)
    theirs = torch.load(state_dict, weights_only=True)
    assert list(ours) == list(theirs)
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value.numpy())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_pytorch_writes_is_read(protocol, tmp_path):
    torch = pytest.importorskip("torch")
    tensors = {
        "half": torch.arange(6, dtype=torch.float16).reshape(2, 3),
        "bfloat16": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "turned": torch.arange(12.0).reshape(3, 4).T[1:, ::2],
        "scalar": torch.tensor(3),
        "empty": torch.zeros(0, 4),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }
    content = {"model": tensors, "best": np.float64(0.5), "epoch": 3, "names": ["a", None]}
    content |= {"optimizer": {"state": {0: {"step": torch.tensor(1.0)}}, "betas": (0.9, 0.99)}}
    content |= {"device": torch.device("cpu"), "size": torch.Size([2, 3]), "large": 1 << 100}
    torch.save(content, tmp_path / "a.pth", pickle_protocol=protocol)
    result = torch_files.read_torch(tmp_path / "a.pth")
    assert (result["epoch"], result["names"]) == (3, ["a", None])
    assert (result["size"], result["large"]) == ((2, 3), 1 << 100)
    assert result["optimizer"]["state"][0]["step"] == 1
    for name, tensor in tensors.items():
        expected = tensor.detach().to(torch.float32).numpy()
        np.testing.assert_array_equal(result["model"][name], expected)
