"""Weight files of the original software, and the feature maps that it computed from them."""

import numpy as np
import pytest

from cspdarknet import conversion
from cspdarknet.checkpoints.architecture import conv_units
from cspdarknet.checkpoints.readers.torch import read_torch
from cspdarknet.models import load_model
from support import (
    GOLDEN,
    NANO,
    SHARED,
    assert_same_weights,
    needs_golden,
    needs_nano,
    relative_error,
)

TOLERANCE = 1e-4  # of the largest value, as in test_kerascv.py
KERAS_305 = SHARED / "golden" / "other_layouts" / "keras3.0.5_kcv0.8.2" / "model.keras"


def load_backbone(path, **arguments):
    return load_model(path, "features", **arguments)


def levels_agree(backbone, x, expected):
    """Compare feature maps `(batch, height, width, channels)` by level with reference outputs."""
    levels = backbone.feature_pyramid(list(expected))(x)
    for level, values in expected.items():
        assert relative_error(levels[level], values) <= TOLERANCE, level


def from_torch(images):
    """Images of YOLOX (BGR, channels first) as this package takes them."""
    return images.transpose(0, 2, 3, 1)[..., ::-1]


@needs_golden
@pytest.mark.parametrize(
    ("name", "io"),
    [
        ("notop", "io_notop"),
        ("notop_shifted_names", "io_notop"),
        ("notop_depthwise", "io_notop_depthwise"),
    ],
)
def test_keras_2(name, io):
    folder = GOLDEN / "legacy_h5"
    x, arrays = np.load(folder / "io_notop.npz")["x_b"], np.load(folder / f"{io}.npz")
    expected = {level: arrays[f"b_{level}"] for level in ("P2", "P3", "P4", "P5")}
    levels_agree(load_backbone(folder / f"{name}.h5"), x, expected)


@needs_golden
def test_keras_2_with_a_classifier_on_top():
    folder = GOLDEN / "legacy_h5"
    x = np.load(folder / "io_notop.npz")["x_b"]
    expected = {"P5": np.load(folder / "io_top.npz")["b_P5"]}
    levels_agree(load_backbone(folder / "top.h5"), x, expected)


@needs_golden
@pytest.mark.parametrize("include_rescaling", [False, True])
def test_state_dict_of_a_yolox_backbone(include_rescaling):
    name = "csp_dep033_wid025_dw"
    arrays = np.load(GOLDEN / "darknet_random" / f"{name}_io.npz")
    path = GOLDEN / "darknet_random" / f"{name}.pth"
    backbone = load_backbone(path, include_rescaling=include_rescaling)
    for case in "01":
        expected = {f"P{i}": arrays[f"dark{i}_{case}"].transpose(0, 2, 3, 1) for i in (3, 4, 5)}
        levels_agree(backbone, from_torch(arrays[f"x{case}"]), expected)


@needs_golden
@pytest.mark.parametrize("include_rescaling", [False, True])
def test_state_dict_of_a_whole_yolox(include_rescaling):
    folder = GOLDEN / "pafpn_head_random"
    arrays = np.load(folder / "io.npz")
    path = folder / "yolox_dep033_wid025_c3.pth"
    backbone = load_backbone(path, include_rescaling=include_rescaling)
    expected = {f"P{i}": arrays[f"dark{i}"].transpose(0, 2, 3, 1) for i in (3, 4, 5)}
    levels_agree(backbone, from_torch(arrays["x"][:1]), expected)


@needs_golden
def test_keras_archive():
    folder = GOLDEN / "kcv09_small"
    arrays = np.load(folder / "io.npz")
    levels_agree(load_backbone(folder / "model.keras"), arrays["x_b"], {"P5": arrays["b_P5"]})


@pytest.mark.skipif(
    not KERAS_305.is_file(), reason=f"the archive of Keras 3.0.5 is not at {KERAS_305}"
)
def test_keras_archive_of_keras_305():
    shared = SHARED / "golden" / "kcv09_small"
    x, live = np.load(shared / "io.npz")["x_a"], np.load(shared / "live" / "io.npz")
    levels_agree(load_backbone(KERAS_305), x, {"P2": live["a_P2"], "P5": live["a_P5"]})


@needs_golden
@pytest.mark.parametrize("net", ["kcv09_small", "kcv09_small_depthwise"])
def test_architecture_of_a_bare_kerascv_file(net, tmp_path):
    path = tmp_path / "bare.weights.h5"
    path.write_bytes((GOLDEN / net / "model.weights.h5").read_bytes())
    arrays = np.load(GOLDEN / net / "io.npz")
    levels_agree(load_backbone(path), arrays["x_b"], {"P5": arrays["b_P5"]})


@needs_nano
def test_official_nano_from_pth_and_onnx():
    pytest.importorskip("onnx")
    first, second = (load_backbone(NANO / f"yolox_nano.{suffix}") for suffix in ("pth", "onnx"))
    assert first.get_config()["stackwise_channels"] == [32, 64, 128, 256]
    assert_same_weights(first, second)


@needs_nano
def test_official_nano_against_onnxruntime(tmp_path):
    """The feature maps of YOLOX's own export, computed by ONNX Runtime on a photograph."""
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    graph = onnx.load(NANO / "yolox_nano.onnx")
    backbone = load_backbone(NANO / "yolox_nano.pth")
    # SiLU is exported as x * sigmoid(x): one Mul for each block, in the order of the blocks.
    products = [node.output[0] for node in graph.graph.node if node.op_type == "Mul"]
    ends = [i for i, unit in enumerate(conv_units(backbone)) if unit.position == "conv3"]
    names = [products[i] for i in ends[1:]]
    graph.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    onnx.save(graph, tmp_path / "levels.onnx")
    session = runtime.InferenceSession(str(tmp_path / "levels.onnx"))
    image = np.load(NANO / "io.npz")["input"]
    outputs = session.run(names, {"images": image})
    expected = {
        f"P{i}": value.transpose(0, 2, 3, 1) for i, value in zip((3, 4, 5), outputs, strict=True)
    }
    levels_agree(backbone, from_torch(image), expected)


@pytest.mark.one_backend
@needs_golden
def test_a_state_dict_is_written_back_bit_by_bit(tmp_path):
    path = GOLDEN / "darknet_random" / "csp_dep033_wid025_dw.pth"
    conversion.save(load_backbone(path), tmp_path / "back.pth")
    original, written = read_torch(path), read_torch(tmp_path / "back.pth")
    assert sorted(original) == sorted(written)
    for name, array in original.items():
        np.testing.assert_array_equal(written[name], array.astype(written[name].dtype))
