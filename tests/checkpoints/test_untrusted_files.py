"""Files that nobody should trust: one clear error, no partial load, no code executed."""

import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cspdarknet import checkpoints
from cspdarknet.checkpoints import CheckpointError
from cspdarknet.checkpoints.readers import torch as torch_file
from cspdarknet.models import CSPDarkNetBackbone
from support import GOLDEN, SMALL, needs_golden, to_numpy
from yolox_files import NET, yolox_like, yolox_onnx

pytestmark = pytest.mark.one_backend


def refused(path, message, model=None):
    """Check that a file is refused with one clear error, and the model is untouched."""
    model = model or CSPDarkNetBackbone(**NET, padding="symmetric")
    before = model.get_weights()
    with pytest.raises(CheckpointError, match=message) as error:
        checkpoints.load_weights(model, path)
    assert str(path) in str(error.value)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


class Attack:
    """Would write a file when unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


@pytest.fixture(scope="module")
def model():
    """One model for all damaged files: to build it takes longer than to refuse a file."""
    return CSPDarkNetBackbone(**NET, padding="symmetric")


class TestDistrust:
    def write(self, path, data, **files):
        with zipfile.ZipFile(path, "w", files.pop("compression", zipfile.ZIP_STORED)) as archive:
            archive.writestr("archive/data.pkl", data)
            for name, content in files.items():
                archive.writestr(f"archive/{name}", content)
        return path

    def test_code_is_not_executed(self, tmp_path):
        target = tmp_path / "written"
        data = pickle.dumps({"model": Attack(target)}, protocol=2)
        refused(self.write(tmp_path / "a.pth", data), r"wants to call .*open")
        assert not target.exists()

    @pytest.mark.parametrize(
        "name", ["os system", "builtins eval", "torch load", "subprocess Popen", "torch._utils _x"]
    )
    def test_other_functions_are_refused(self, name, tmp_path):
        module, function = name.split()
        data = b"\x80\x02c" + module.encode() + b"\n" + function.encode() + b"\n)R."
        refused(self.write(tmp_path / "a.pth", data), "refused")

    def test_compressed_and_foreign_archives(self, tmp_path):
        path = tmp_path / "a.pth"
        data = pickle.dumps({})
        refused(self.write(path, data, compression=zipfile.ZIP_DEFLATED), "compressed")
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("word/document.xml", "<x/>")
        refused(path, "no data.pkl")
        refused(self.write(path, data, byteorder="big"), "big-endian")
        refused(self.write(path, data), "no CSPDarkNet")
        refused(self.write(path, pickle.dumps([1])), "no state dict")

    def test_a_file_of_an_old_pytorch(self, tmp_path):
        path = tmp_path / "a.pth"
        path.write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2))
        refused(path, "version 1.6 or later")

    @pytest.mark.parametrize(
        ("shape", "strides", "offset", "message"),
        [
            ((1000,), (1,), 0, "beyond"),
            ((2,), (1,), 10**9, "beyond"),
            ((2, 2), (10**6, 1), 0, "beyond"),
            ((10**6,), (0,), 0, "larger than"),
            ((-1,), (1,), 0, "malformed"),
        ],
    )
    def test_tensors_that_reach_beyond_their_bytes(self, shape, strides, offset, message, tmp_path):
        path = tmp_path / "a.pth"
        torch_file.write_torch(path, {"x": np.ones((4,), "float32")})
        reader = torch_file._Reader(path, zipfile.ZipFile(path))
        storage = torch_file._Storage("float32", "0", 4)
        with pytest.raises(CheckpointError, match=message):
            reader.tensor(storage, offset, shape, strides)

    def test_wrong_storage_sizes(self, state_dict, tmp_path):
        path = tmp_path / "a.pth"
        with zipfile.ZipFile(state_dict) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                data = old.read(name)
                new.writestr(name, data[:-4] if name.endswith("data/0") else data)
        refused(path, "were announced")

    def test_other_architectures(self, state_dict):
        for changes, message in [
            ({"stackwise_depth": [1, 1]}, "no place in the model"),
            ({"stackwise_depth": [2, 2]}, "missing"),
            ({"stackwise_channels": [4, 8]}, "the model needs"),
            ({"use_depthwise": True}, "does not belong"),
        ]:
            model = CSPDarkNetBackbone(**{**NET, "padding": "symmetric", **changes})
            refused(state_dict, message, model)

    def test_other_conventions(self, state_dict):
        refused(state_dict, "belong to padding='symmetric'", CSPDarkNetBackbone(**NET))
        model = CSPDarkNetBackbone(**NET, padding="symmetric", batch_norm_epsilon=1e-5)
        refused(state_dict, "belong to batch_norm_epsilon=0.001", model)

    @needs_golden
    def test_kerascv_weights_do_not_go_into_symmetric_padding(self):
        model = CSPDarkNetBackbone(**SMALL, include_rescaling=True, padding="symmetric")
        refused(GOLDEN / "kcv09_small" / "preset" / "model.weights.h5", "padding='same'", model)

    def test_nan(self, tmp_path):
        model = yolox_like()
        model.variables[0].assign(to_numpy(model.variables[0]) * np.nan)
        checkpoints.save(model, tmp_path / "a.pth")
        refused(tmp_path / "a.pth", "NaN")

    def test_unknown_formats(self, tmp_path):
        for name, data, message in [
            ("a.bin", b"GIF89a", "no known format"),
            ("a.pth", b"text", "version 1.6"),
            ("a.h5", b"text", "damaged"),
            ("empty.pth", b"", "version 1.6"),
            ("a.safetensors", struct.pack("<Q", 9) + b"{not json", "damaged"),
        ]:
            (tmp_path / name).write_bytes(data)
            refused(tmp_path / name, message)
        pytest.importorskip("onnx")
        (tmp_path / "a.onnx").write_bytes(b"text")
        refused(tmp_path / "a.onnx", "damaged|no YOLOX")

    @needs_golden
    def test_another_onnx(self, tmp_path):
        onnx = pytest.importorskip("onnx")
        model = onnx.load(GOLDEN / "nano_real" / "yolox_nano.onnx")
        del model.graph.node[9]  # the stem's convolution
        onnx.save(model, tmp_path / "a.onnx")
        refused(tmp_path / "a.onnx", "no YOLOX with a CSPDarkNet")

    @settings(max_examples=int(os.environ.get("FUZZ_EXAMPLES", "150")))
    @given(
        st.sampled_from(["pth", "safetensors", "onnx"]),
        st.floats(0, 1),
        st.sampled_from(["cut", "flip", "zero", "swap"]),
        st.integers(1, 255),
    )
    def test_random_damage(self, model, state_dict, tmp_path_factory, kind, where, how, value):
        """One error type, or a complete and finite load; never anything in between."""
        data = bytearray(self.sample(kind, state_dict, tmp_path_factory))
        at = int(where * (len(data) - 1))
        if how == "cut":
            data = data[:at]
        elif how == "flip":
            data[at] ^= value
        elif how == "zero":
            data[at : at + value] = bytes(len(data[at : at + value]))
        else:
            data = data[at:] + data[:at]
        path = tmp_path_factory.mktemp("fuzz") / f"a.{kind}"
        path.write_bytes(bytes(data))
        before = model.get_weights()
        try:
            checkpoints.load_weights(model, path)
        except CheckpointError:
            for a, b in zip(before, model.get_weights(), strict=True):
                np.testing.assert_array_equal(a, b)
        else:
            assert all(np.isfinite(w).all() for w in model.get_weights())

    def sample(self, kind, state_dict, tmp_path_factory):
        if kind == "pth":
            return state_dict.read_bytes()
        if kind == "safetensors":
            pytest.importorskip("safetensors")
            path = tmp_path_factory.getbasetemp() / "sample.safetensors"
            if not path.exists():
                checkpoints.save(yolox_like(), path)
            return path.read_bytes()
        pytest.importorskip("onnx")
        path = tmp_path_factory.getbasetemp() / "sample.onnx"
        if not path.exists():
            path.write_bytes(yolox_onnx(checkpoints.load(state_dict)))
        return path.read_bytes()
