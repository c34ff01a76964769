"""`.safetensors` files."""

import json
import stat
import struct

import numpy as np
import pytest

from cspdarknet import conversion
from cspdarknet.checkpoints import CheckpointError
from cspdarknet.checkpoints.formats import open_checkpoint
from cspdarknet.checkpoints.readers import safetensors
from cspdarknet.checkpoints.readers.safetensors import SafetensorsFile
from cspdarknet.models import CSPDarkNetBackbone
from yolox_files import NET, build

pytestmark = pytest.mark.one_backend


@pytest.fixture
def path(tmp_path):
    conversion.save(build(), tmp_path / "a.safetensors")
    return tmp_path / "a.safetensors"


def test_config(path):
    with open_checkpoint(path) as checkpoint:
        config = checkpoint.config()
    assert config.backbone["stackwise_channels"] == NET["stackwise_channels"]
    assert config.backbone["include_rescaling"] is False


ARRAYS = {
    "half": np.array([1.5, -2], "float16"),
    "empty": np.zeros((0, 3), "float32"),
    "single": np.arange(6, dtype="float32").reshape(2, 3).T,
    "double": np.array(0.1),
    "bytes": np.array([1, 255], "uint8"),
    "flags": np.array([True, False]),
}


def test_the_package_of_the_format_reads_what_is_written(tmp_path):
    package = pytest.importorskip("safetensors")
    safetensors.write_arrays(tmp_path / "a.safetensors", ARRAYS, {"key": "text"})
    with package.safe_open(tmp_path / "a.safetensors", framework="numpy") as file:
        assert file.metadata() == {"key": "text"}
        assert set(file.keys()) == set(ARRAYS)
        for name, array in ARRAYS.items():
            np.testing.assert_array_equal(file.get_tensor(name), array, strict=True)


def test_what_the_package_of_the_format_writes_is_read(tmp_path):
    writer = pytest.importorskip("safetensors.numpy")
    arrays = {name: np.ascontiguousarray(array) for name, array in ARRAYS.items()}
    writer.save_file(arrays, tmp_path / "a.safetensors")
    file = SafetensorsFile(tmp_path / "a.safetensors")
    for name, array in arrays.items():
        dtype = "float64" if name == "double" else "float32"
        np.testing.assert_array_equal(file.read(name), array.astype(dtype), strict=True)


def test_bfloat16(tmp_path):
    path = tmp_path / "a.safetensors"
    write_header(path, {"a": entry("BF16", [2], 4)}, np.array([0x3F80, 0xC000], "<u2").tobytes())
    np.testing.assert_array_equal(SafetensorsFile(path).read("a"), np.array([1, -2], "float32"))


def test_the_mode_of_a_new_file_is_that_of_any_other(path, tmp_path):
    (tmp_path / "other").write_text("text")
    modes = {stat.S_IMODE(name.stat().st_mode) for name in (path, tmp_path / "other")}
    assert len(modes) == 1


def test_weights_of_other_architectures(path, refuses):
    model = CSPDarkNetBackbone([4, 6, 8], [1, 2, 1], include_rescaling=False)
    refuses(path, "weights of the model are missing", model)


def write_header(path, header, content=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content)


def entry(dtype="F32", shape=(1,), end=4, start=0):
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ({"a": entry()}, "of arrays, and lists 4"),  # the file has 8 bytes of arrays
        ({"a": entry(shape=(2**40,), end=2**42)}, "and lists"),
        ({"a": entry(), "b": entry()}, "overlap, or leave gaps"),
        ({"a": entry(end=8, start=4)}, "overlap, or leave gaps"),
        ({"a": entry(shape=(3,), end=8)}, "contradicts its bytes"),
        ({"a": entry(shape=(-2, -1), end=8)}, "malformed"),
        ({"a": entry(shape=(1,) * 9, end=4)}, "malformed"),
        ({"a": entry(shape=(True, 2), end=8)}, "malformed"),
        ({"a": entry("F8_E4M3", (8,), 8)}, "'F8_E4M3' of 'a' is not supported"),
        ({"a": {"dtype": "F32"}}, "damaged"),
        ({"a": 5}, "damaged"),
        ([1], "damaged"),
        (b"[" * 100_000, "damaged"),
        (b'{"a": ' * 50_000, "damaged"),
        (b"{\xff", "damaged"),
        (b"", "damaged"),
    ],
)
def test_headers_that_contradict_their_file(header, message, tmp_path):
    path = tmp_path / "a.safetensors"
    write_header(path, header, bytes(8))
    with pytest.raises(CheckpointError, match=message) as error:
        SafetensorsFile(path)
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 1_100


def test_a_header_that_is_cut_off(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", 2**40) + b"{}")
    with pytest.raises(CheckpointError, match="cut off, or too long"):
        SafetensorsFile(tmp_path / "a.safetensors")


@pytest.mark.parametrize("config", ["[1]", "5"])
def test_malformed_configs(config, tmp_path, refuses):
    header = {"__metadata__": {safetensors.CONFIG: config}}
    write_header(tmp_path / "a.safetensors", header)
    refuses(tmp_path / "a.safetensors", "malformed config")
