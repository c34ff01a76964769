"""Every published format of CSPDarkNet weights: read, converted, verified, uploaded."""

import hashlib
import json
import os
import pickle
import struct
import zipfile

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from cspdarknet import checkpoints, upload_preset
from cspdarknet.checkpoints import CheckpointError, stem, torch_file
from cspdarknet.checkpoints.structure import conv_units, unit_variables
from cspdarknet.checkpoints.verify import verify
from cspdarknet.cli import app
from cspdarknet.models import CSPDarkNetBackbone
from cspdarknet.presets import download, records, sources
from support import GOLDEN, SMALL, needs_golden, randomize, relative_error, to_numpy

TOLERANCE = 1e-4  # of the largest value; the original's backends are 2e-6 apart
NET = {"stackwise_channels": [4, 6], "stackwise_depth": [1, 2], "include_rescaling": False}


def build(**changes):
    return randomize(CSPDarkNetBackbone(**{**NET, **changes}))


def yolox_like(**changes):
    return build(padding="symmetric", batch_norm_momentum=0.97, **changes)


def same(a, b):
    assert [v.path for v in a.variables] == [v.path for v in b.variables]
    for x, y in zip(a.variables, b.variables, strict=True):
        np.testing.assert_array_equal(to_numpy(x), to_numpy(y))


def levels_agree(model, x, expected):
    for level, value in model.feature_pyramid(list(expected))(x).items():
        assert relative_error(value, expected[level]) <= TOLERANCE, level


@needs_golden
class TestGoldens:
    @pytest.mark.parametrize(
        ("name", "io"),
        [
            ("notop", "io_notop"),
            ("notop_shifted_names", "io_notop"),
            ("notop_depthwise", "io_notop_depthwise"),
        ],
    )
    def test_keras_2(self, name, io):
        folder = GOLDEN / "legacy_h5"
        inputs, arrays = np.load(folder / "io_notop.npz"), np.load(folder / f"{io}.npz")
        model = checkpoints.load(folder / f"{name}.h5")
        for case in "ab":
            expected = {level: arrays[f"{case}_{level}"] for level in ("P2", "P3", "P4", "P5")}
            levels_agree(model, inputs[f"x_{case}"], expected)

    def test_keras_2_with_a_classifier_on_top(self):
        folder = GOLDEN / "legacy_h5"
        model = checkpoints.load(folder / "top.h5")
        x = np.load(folder / "io_notop.npz")["x_a"]
        levels_agree(model, x, {"P5": np.load(folder / "io_top.npz")["a_P5"]})

    @pytest.mark.parametrize("name", ["csp_dep033_wid025", "csp_dep033_wid025_dw"])
    @pytest.mark.parametrize("include_rescaling", [False, True])
    def test_yolox_state_dict(self, name, include_rescaling):
        arrays = np.load(GOLDEN / "darknet_random" / f"{name}_io.npz")
        path = GOLDEN / "darknet_random" / f"{name}.pth"
        model = checkpoints.load(path, include_rescaling=include_rescaling)
        for case in "01":
            # The user feeds RGB, channels last.
            x = arrays[f"x{case}"].transpose(0, 2, 3, 1)[..., ::-1]
            expected = {f"P{i}": arrays[f"dark{i}_{case}"].transpose(0, 2, 3, 1) for i in (3, 4, 5)}
            levels_agree(model, x, expected)

    def test_backbone_of_a_whole_yolox(self):
        folder = GOLDEN / "pafpn_head_random"
        arrays = np.load(folder / "io.npz")
        model = checkpoints.load(folder / "yolox_dep033_wid025_c3.pth")
        x = arrays["x"][:1].transpose(0, 2, 3, 1)[..., ::-1]
        expected = {f"P{i}": arrays[f"dark{i}"].transpose(0, 2, 3, 1) for i in (3, 4, 5)}
        levels_agree(model, x, expected)

    def test_official_nano_from_pth_and_onnx(self):
        pytest.importorskip("onnx")
        folder = GOLDEN / "nano_real"
        models = [checkpoints.load(folder / f"yolox_nano.{suffix}") for suffix in ("pth", "onnx")]
        assert models[0].get_config()["stackwise_channels"] == [32, 64, 128, 256]
        x = np.load(folder / "io.npz")["input"].transpose(0, 2, 3, 1)[..., ::-1]
        expected = models[0].feature_pyramid()(x)
        levels_agree(models[1], x, {level: to_numpy(value) for level, value in expected.items()})

    def test_official_nano_against_onnxruntime(self, tmp_path):
        """The export's own feature maps, computed by ONNX Runtime on a real photo."""
        onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
        folder = GOLDEN / "nano_real"
        graph = onnx.load(folder / "yolox_nano.onnx")
        model = checkpoints.load(folder / "yolox_nano.pth")
        # SiLU is exported as x * sigmoid(x): one Mul for each block, in the order of the blocks.
        muls = [node.output[0] for node in graph.graph.node if node.op_type == "Mul"]
        ends = [i for i, unit in enumerate(conv_units(model)) if unit.place == "conv3"]
        names = [muls[i] for i in ends[1:]]
        graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        onnx.save(graph, tmp_path / "levels.onnx")
        session = runtime.InferenceSession(str(tmp_path / "levels.onnx"))
        image = np.load(folder / "io.npz")["input"]
        found = session.run(names, {"images": image})
        expected = {
            f"P{i}": value.transpose(0, 2, 3, 1) for i, value in zip((3, 4, 5), found, strict=True)
        }
        levels_agree(model, image.transpose(0, 2, 3, 1)[..., ::-1], expected)

    def test_keras_archives(self, photo):
        folder = GOLDEN / "kcv09_small"
        model = checkpoints.load(folder / "model.keras")
        arrays = np.load(folder / "io.npz")
        levels_agree(model, arrays["x_b"], {"P5": arrays["b_P5"]})
        older = checkpoints.load(GOLDEN / "other_layouts" / "keras3.0.5_kcv0.8.2" / "model.keras")
        live = np.load(folder / "live" / "io.npz")
        levels_agree(older, arrays["x_a"], {"P2": live["a_P2"], "P5": live["a_P5"]})

    @pytest.mark.parametrize("net", ["kcv09_small", "kcv09_small_depthwise"])
    def test_the_architecture_is_read_off_a_bare_kerascv_file(self, net, tmp_path):
        path = tmp_path / "bare.weights.h5"
        path.write_bytes((GOLDEN / net / "model.weights.h5").read_bytes())
        arrays = np.load(GOLDEN / net / "io.npz")
        levels_agree(checkpoints.load(path), arrays["x_b"], {"P5": arrays["b_P5"]})


class TestRoundTrips:
    @pytest.mark.parametrize("use_depthwise", [False, True])
    @pytest.mark.parametrize("name", ["a.safetensors", "a.keras", "a"])
    def test_every_variable_is_bit_equal(self, name, use_depthwise, tmp_path):
        if name.endswith("safetensors"):
            pytest.importorskip("safetensors")
        model = build(use_depthwise=use_depthwise, include_rescaling=True)
        model.freeze("stem")
        checkpoints.save(model, tmp_path / name)
        again = checkpoints.load(tmp_path / name)
        same(model, again)
        assert again.get_config() == model.get_config()

    @pytest.mark.parametrize("use_depthwise", [False, True])
    def test_yolox(self, use_depthwise, tmp_path):
        model = yolox_like(use_depthwise=use_depthwise)
        checkpoints.save(model, tmp_path / "a.pth")
        again = checkpoints.load(tmp_path / "a.pth")
        same(model, again)
        checkpoints.save(again, tmp_path / "b.pth")
        first, second = (torch_file.read_torch(tmp_path / f"{n}.pth") for n in "ab")
        assert list(first) == list(second)
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])

    @needs_golden
    @pytest.mark.parametrize("name", ["csp_dep033_wid025", "csp_dep033_wid025_dw"])
    def test_the_original_state_dict_comes_back(self, name, tmp_path):
        path = GOLDEN / "darknet_random" / f"{name}.pth"
        checkpoints.save(checkpoints.load(path), tmp_path / "back.pth")
        original, back = torch_file.read_torch(path), torch_file.read_torch(tmp_path / "back.pth")
        assert sorted(original) == sorted(back)
        for key, value in original.items():
            np.testing.assert_array_equal(back[key], value.astype(back[key].dtype))

    def test_pytorch_reads_what_is_written(self, tmp_path):
        torch = pytest.importorskip("torch")
        checkpoints.save(yolox_like(), tmp_path / "a.pth")
        ours = torch_file.read_torch(tmp_path / "a.pth")
        theirs = torch.load(tmp_path / "a.pth", weights_only=True)
        assert list(ours) == list(theirs)
        for name, value in theirs.items():
            np.testing.assert_array_equal(ours[name], value.numpy())

    def test_what_pytorch_writes_is_read(self, tmp_path):
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
        torch.save(content, tmp_path / "a.pth")
        found = torch_file.read_torch(tmp_path / "a.pth")
        assert (found["epoch"], found["names"]) == (3, ["a", None])
        for name, tensor in tensors.items():
            expected = tensor.detach().to(torch.float32).numpy()
            np.testing.assert_array_equal(found["model"][name], expected)

    def test_same_padding_does_not_go_to_yolox(self, tmp_path):
        with pytest.raises(ValueError, match="padding='symmetric'"):
            checkpoints.save(build(), tmp_path / "a.pth")
        assert not list(tmp_path.iterdir())

    def test_unknown_suffixes(self, tmp_path):
        for name, message in [("a.ckpt", "Unknown format"), ("a.h5", r"ends in \.weights\.h5")]:
            with pytest.raises(ValueError, match=message):
                checkpoints.save(build(), tmp_path / name)

    def test_a_bare_weight_file_needs_an_architecture(self, tmp_path):
        model = build()
        checkpoints.save(model, tmp_path / "a.weights.h5")
        with pytest.raises(CheckpointError, match="does not tell its architecture"):
            checkpoints.load(tmp_path / "a.weights.h5")
        same(model, checkpoints.load(tmp_path / "a.weights.h5", **NET))


def refused(path, message, model=None):
    """Check that a file is refused with one clear error, and the model is untouched."""
    model = model or CSPDarkNetBackbone(**NET, padding="symmetric")
    before = model.get_weights()
    with pytest.raises(CheckpointError, match=message) as error:
        checkpoints.load_weights(model, path)
    assert str(path) in str(error.value)
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.fixture(scope="module")
def state_dict(tmp_path_factory):
    path = tmp_path_factory.mktemp("pth") / "a.pth"
    checkpoints.save(yolox_like(), path)
    return path


class Attack:
    """Would write a file when unpickled."""

    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (open, (str(self.target), "w"))


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
    def test_random_damage(self, state_dict, tmp_path_factory, kind, where, how, value):
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
        model = CSPDarkNetBackbone(**NET, padding="symmetric")
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
        return yolox_onnx(checkpoints.load(state_dict))


def yolox_onnx(model):
    """A small ONNX graph with the nodes that YOLOX's export has, in its order."""
    from onnx import helper, numpy_helper

    nodes, weights = [helper.make_node("Concat", ["x"], ["focus"], axis=1)], []
    for i, unit in enumerate(conv_units(model)):
        if unit.place == "conv3" or (unit.part, unit.place) == ("spp", "conv2"):
            nodes += [helper.make_node("MaxPool", ["x"], ["m"])] * 3 * (unit.part == "spp")
            nodes.append(helper.make_node("Concat", ["x"], [f"c{i}"], axis=1))
        kernel, norm = unit_variables(model, unit)
        kernel = to_numpy(kernel)
        if unit.part == "stem":
            kernel = stem.fold(kernel[:, :, ::-1])
        weights.append(numpy_helper.from_array(kernel.transpose(3, 2, 0, 1).copy(), f"w{i}"))
        weights.append(numpy_helper.from_array(to_numpy(norm[1]).copy(), f"b{i}"))
        strides = [2, 2] if unit.part == "stage" else [1, 1]
        nodes.append(helper.make_node("Conv", ["x", f"w{i}", f"b{i}"], [f"y{i}"], strides=strides))
    graph = helper.make_graph(nodes, "g", [], [], weights)
    return helper.make_model(graph).SerializeToString()


def test_small_onnx(state_dict, tmp_path):
    pytest.importorskip("onnx")
    model = checkpoints.load(state_dict)
    (tmp_path / "a.onnx").write_bytes(yolox_onnx(model))
    found = checkpoints.load(tmp_path / "a.onnx")
    assert found.stackwise_depth == model.stackwise_depth
    for layer in ("stem_conv", "dark2_conv", "dark3_csp_bottleneck2_conv2"):
        name = f"{layer}_conv"
        np.testing.assert_array_equal(
            to_numpy(found.get_layer(name).kernel), to_numpy(model.get_layer(name).kernel)
        )
        beta = to_numpy(model.get_layer(f"{layer}_bn").beta)
        np.testing.assert_array_equal(to_numpy(found.get_layer(f"{layer}_bn").beta), beta)


class TestSources:
    """Downloads, with local files in place of the hosts."""

    @pytest.fixture(autouse=True)
    def _cache(self, tmp_path, monkeypatch):
        monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))

    def serve(self, monkeypatch, data):
        asked = []

        def get_file(name, origin, cache_dir, cache_subdir):
            asked.append(origin)
            if isinstance(data, Exception):
                raise data
            path = download.Path(cache_dir) / cache_subdir / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            return str(path)

        monkeypatch.setattr(keras.utils, "get_file", get_file)
        return asked

    def test_a_published_hash_is_checked(self, monkeypatch):
        asked = self.serve(monkeypatch, b"weights")
        good = hashlib.sha256(b"weights").hexdigest()
        url = "https://host/a/b/w.h5"
        assert download.fetch(url, sha256=good).read_bytes() == b"weights"
        download.fetch(url, sha256=good)
        assert asked == [url]  # the second time from the cache
        with pytest.raises(CheckpointError, match="damaged or was replaced"):
            download.fetch("https://host/a/b/other.h5", sha256="0" * 64)
        with pytest.raises(CheckpointError):  # nothing of the bad file is left
            download.fetch("https://host/a/b/other.h5", sha256="0" * 64)
        assert len(asked) == 3

    def test_an_unknown_hash_is_kept_from_the_first_download_on(self, monkeypatch):
        url = "https://host/a/b/w.pth"
        self.serve(monkeypatch, b"first")
        path = download.fetch(url)
        path.unlink()
        self.serve(monkeypatch, b"second")
        with pytest.raises(CheckpointError, match="expected"):
            download.fetch(url)
        self.serve(monkeypatch, b"first")
        path = download.fetch(url)
        path.write_bytes(b"changed on disk")
        with pytest.raises(CheckpointError, match="expected"):
            download.fetch(url)

    def test_the_second_source_is_tried(self, monkeypatch, tmp_path):
        import kagglehub

        def no_host(*args, **kwargs):
            raise OSError("no such host")

        monkeypatch.setattr(kagglehub, "model_download", no_host)
        asked = self.serve(monkeypatch, b"weights")
        preset = records.PRESETS["csp_darknet_tiny_imagenet"]
        hashed = records.Source(preset.sources[1].uri, hashlib.sha256(b"weights").hexdigest())
        path = sources._first_reachable("x", (preset.sources[0], hashed))
        assert path.read_bytes() == b"weights"
        assert asked[0].endswith("cspdarknettiny/imagenet/classification-v0-notop.h5")

    def test_yolox_preset(self, monkeypatch, tmp_path):
        size = records.SIZES["nano"]
        model = randomize(
            CSPDarkNetBackbone(
                size.stackwise_channels,
                size.stackwise_depth,
                include_rescaling=False,
                use_depthwise=True,
                padding="symmetric",
            )
        )
        checkpoints.save(model, tmp_path / "nano.pth")
        asked = self.serve(monkeypatch, (tmp_path / "nano.pth").read_bytes())
        same(model, CSPDarkNetBackbone.from_preset("yolox_nano_coco"))
        assert asked == [f"{records.YOLOX_FILES}/yolox_nano.pth"]
        # The factor of the rescaling moves into the stem's weights.
        scaled = CSPDarkNetBackbone.from_preset("yolox_nano_coco", include_rescaling=True)
        x = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
        assert relative_error(scaled(x), to_numpy(model(x))) <= TOLERANCE
        with pytest.raises(ValueError, match="padding"):
            CSPDarkNetBackbone.from_preset("yolox_nano_coco", padding="same")


@needs_golden
@pytest.mark.network
def test_the_official_nano_is_the_reference_one(photo):
    """The release's own file gives what the reference copy of it gives."""
    expected = to_numpy(checkpoints.load(GOLDEN / "nano_real" / "yolox_nano.pth")(photo))
    found = CSPDarkNetBackbone.from_preset("yolox_nano_coco")(photo)
    assert relative_error(found, expected) <= TOLERANCE


class TestCommands:
    def run(self, *args):
        return CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "120"})

    def test_convert_and_verify(self, state_dict, tmp_path):
        done = self.run("convert", state_dict, tmp_path / "preset")
        assert done.exit_code == 0, done.output
        metadata = json.loads((tmp_path / "preset" / "metadata.json").read_text())
        assert metadata["source"] == {
            "name": "a.pth",
            "format": "YOLOX, PyTorch",
            "licence": "Apache-2.0",
            "sha256": hashlib.sha256(state_dict.read_bytes()).hexdigest(),
        }
        done = self.run("verify", tmp_path / "preset")
        assert done.exit_code == 0, done.output
        assert done.output.count("equal") == 2

    def test_verify_notices_other_weights(self, state_dict, tmp_path):
        self.run("convert", state_dict, tmp_path / "preset")
        other = yolox_like()
        other.get_layer("dark3_csp_conv3_bn").beta.assign(np.full(6, 0.5))
        other.save_weights(tmp_path / "preset" / "model.weights.h5")
        done = self.run("verify", tmp_path / "preset")
        assert done.exit_code == 1
        assert "DIFFERENT" in done.output

    @needs_golden
    def test_verify_against_a_golden_file(self):
        folder = GOLDEN / "kcv09_tiny"
        done = self.run("verify", folder / "preset", "--golden", folder / "io.npz")
        assert done.exit_code == 0, done.output
        assert done.output.count("equal") == 4

    def test_no_figures(self, tmp_path):
        build().save_to_preset(tmp_path / "preset")
        done = self.run("verify", tmp_path / "preset")
        assert "no stored figures" in str(done.exception)
        np.savez(tmp_path / "g.npz", y=np.ones(3))
        with pytest.raises(CheckpointError, match="no input"):
            verify(build(), "x", tmp_path / "g.npz")
        (tmp_path / "g.npz").write_bytes(b"x")
        with pytest.raises(CheckpointError, match="not a readable"):
            verify(build(), "x", tmp_path / "g.npz")


class TestUpload:
    @pytest.fixture
    def preset(self, state_dict, tmp_path):
        checkpoints.save(checkpoints.load(state_dict), tmp_path / "p", {"name": "a.pth"})
        return tmp_path / "p"

    def test_hugging_face(self, preset, monkeypatch):
        hub = pytest.importorskip("huggingface_hub")
        calls = []
        monkeypatch.setattr(hub, "create_repo", lambda *a, **k: calls.append(("create", a, k)))
        monkeypatch.setattr(hub, "upload_folder", lambda **k: calls.append(("upload", k)))
        upload_preset("hf://me/net", preset)
        assert calls == [
            ("create", ("me/net",), {"exist_ok": True}),
            ("upload", {"repo_id": "me/net", "folder_path": str(preset)}),
        ]
        card = (preset / "README.md").read_text()
        assert card.startswith("---\nlibrary_name: keras\n")
        assert 'from_preset("hf://me/net")' in card
        assert "[4, 6]" in card
        assert "a.pth" in card
        (preset / "README.md").write_text("my own card")
        upload_preset("hf://me/net", preset)
        assert (preset / "README.md").read_text() == "my own card"

    def test_kaggle_on_saving(self, monkeypatch, tmp_path):
        import kagglehub

        calls = []
        monkeypatch.setattr(kagglehub, "model_upload", lambda *a: calls.append(a))
        build().save_to_preset(tmp_path / "p", push_to="kaggle://me/net/keras/v")
        assert calls == [("me/net/keras/v", str(tmp_path / "p"))]
        same(build(), CSPDarkNetBackbone.from_preset(tmp_path / "p"))

    def test_bad_places(self, preset, tmp_path):
        with pytest.raises(ValueError, match="kaggle"):
            upload_preset("s3://bucket", preset)
        with pytest.raises(ValueError, match="no preset"):
            upload_preset("hf://me/net", tmp_path / "none")
