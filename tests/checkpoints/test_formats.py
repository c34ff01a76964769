"""Recognition of weight files by their content."""

import contextlib
import os
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdarknet import conversion
from cspdarknet.checkpoints.formats import open_checkpoint
from cspdarknet.models import load_model
from yolox_files import build, yolox_like, yolox_onnx

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.bin", b"GIF89a", "unknown format"),
        ("empty.bin", b"", "unknown format"),
        ("a.h5", b"text", "damaged"),
        ("empty.h5", b"", "damaged"),
        ("a.keras", b"text", "damaged"),
        ("a.pth", b"text", "version 1.6"),
        ("empty.pth", b"", "version 1.6"),
        ("a.safetensors", struct.pack("<Q", 9) + b"{not json", "damaged"),
        ("a.onnx", b"text", "damaged|not a YOLOX"),
    ],
)
def test_unknown_and_empty_files(name, data, message, tmp_path, refuses):
    for package in ("safetensors", "onnx"):
        if name.endswith(package):
            pytest.importorskip(package)
    (tmp_path / name).write_bytes(data)
    refuses(tmp_path / name, message)


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


@settings(max_examples=int(os.environ.get("FUZZ_EXAMPLES", "200")))
@given(
    st.sampled_from(["weights.h5", "keras", "pth", "safetensors", "onnx"]),
    st.floats(0, 1),
    st.sampled_from(["cut", "flip", "zero", "swap"]),
    st.integers(1, 255),
)
def test_random_damage_never_half_loads(
    damage, target_model, samples, loads_all_or_nothing, tmp_path_factory, kind, at, change, value
):
    """The damage is one error, or every weight is finite; never anything in between."""
    if not samples[kind]:
        return
    path = tmp_path_factory.mktemp("fuzz") / f"a.{kind}"
    path.write_bytes(damage(samples[kind], at, change, value))
    loads_all_or_nothing(path, target_model)


@pytest.fixture(scope="module")
def samples(state_dict, tmp_path_factory):
    """The content of a small file of each format; it is empty where a package is missing."""
    folder = tmp_path_factory.mktemp("samples")
    contents = {"pth": state_dict.read_bytes(), "safetensors": b"", "onnx": b""}
    model = build(padding="symmetric")
    for kind in ("weights.h5", "keras", "safetensors"):
        with contextlib.suppress(ImportError):
            conversion.save(model, folder / f"a.{kind}")
            contents[kind] = (folder / f"a.{kind}").read_bytes()
    with contextlib.suppress(ImportError):
        contents["onnx"] = yolox_onnx(load_model(state_dict))
    return contents
