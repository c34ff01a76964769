"""Every published format of CSPDarkNet weights, read and written, against the originals."""

import numpy as np
import pytest

from cspdarknet import checkpoints
from cspdarknet.checkpoints import CheckpointError
from cspdarknet.checkpoints.architecture import conv_units
from cspdarknet.checkpoints.readers import torch as torch_file
from support import GOLDEN, assert_same_weights, needs_golden, relative_error, to_numpy
from yolox_files import NET, build, yolox_like, yolox_onnx

TOLERANCE = 1e-4  # of the largest value; the original's backends are 2e-6 apart


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
        assert_same_weights(model, again)
        assert again.get_config() == model.get_config()

    @pytest.mark.parametrize("use_depthwise", [False, True])
    def test_yolox(self, use_depthwise, tmp_path):
        model = yolox_like(use_depthwise=use_depthwise)
        checkpoints.save(model, tmp_path / "a.pth")
        again = checkpoints.load(tmp_path / "a.pth")
        assert_same_weights(model, again)
        checkpoints.save(again, tmp_path / "b.pth")
        first, second = (torch_file.read_torch(tmp_path / f"{n}.pth") for n in "ab")
        assert list(first) == list(second)
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])

    @pytest.mark.one_backend
    @needs_golden
    @pytest.mark.parametrize("name", ["csp_dep033_wid025", "csp_dep033_wid025_dw"])
    def test_the_original_state_dict_comes_back(self, name, tmp_path):
        path = GOLDEN / "darknet_random" / f"{name}.pth"
        checkpoints.save(checkpoints.load(path), tmp_path / "back.pth")
        original, back = torch_file.read_torch(path), torch_file.read_torch(tmp_path / "back.pth")
        assert sorted(original) == sorted(back)
        for key, value in original.items():
            np.testing.assert_array_equal(back[key], value.astype(back[key].dtype))

    @pytest.mark.one_backend
    def test_pytorch_reads_what_is_written(self, tmp_path):
        torch = pytest.importorskip("torch")
        checkpoints.save(yolox_like(), tmp_path / "a.pth")
        ours = torch_file.read_torch(tmp_path / "a.pth")
        theirs = torch.load(tmp_path / "a.pth", weights_only=True)
        assert list(ours) == list(theirs)
        for name, value in theirs.items():
            np.testing.assert_array_equal(ours[name], value.numpy())

    @pytest.mark.one_backend
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

    @pytest.mark.one_backend
    def test_same_padding_does_not_go_to_yolox(self, tmp_path):
        with pytest.raises(ValueError, match="padding='symmetric'"):
            checkpoints.save(build(), tmp_path / "a.pth")
        assert not list(tmp_path.iterdir())

    @pytest.mark.one_backend
    def test_unknown_suffixes(self, tmp_path):
        for name, message in [("a.ckpt", "Unknown format"), ("a.h5", r"ends in \.weights\.h5")]:
            with pytest.raises(ValueError, match=message):
                checkpoints.save(build(), tmp_path / name)

    @pytest.mark.one_backend
    def test_a_bare_weight_file_needs_an_architecture(self, tmp_path):
        model = build()
        checkpoints.save(model, tmp_path / "a.weights.h5")
        with pytest.raises(CheckpointError, match="does not tell its architecture"):
            checkpoints.load(tmp_path / "a.weights.h5")
        assert_same_weights(model, checkpoints.load(tmp_path / "a.weights.h5", **NET))


@pytest.mark.one_backend
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
