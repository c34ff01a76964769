"""ONNX exports of YOLOX with folded batch normalizations."""

import numpy as np
import pytest

from cspdarknet.checkpoints.architecture import conv_units, unit_variables
from cspdarknet.models import CSPDarkNetBackbone, load_model
from support import NANO, needs_nano, to_numpy
from yolox_files import yolox_like, yolox_onnx

pytestmark = pytest.mark.one_backend
onnx = pytest.importorskip("onnx")


@pytest.fixture
def path(tmp_path):
    (tmp_path / "a.onnx").write_bytes(yolox_onnx(yolox_like()))
    return tmp_path / "a.onnx"


@pytest.mark.parametrize("use_depthwise", [False, True])
def test_kernels_and_biases(use_depthwise, tmp_path):
    model = yolox_like(use_depthwise=use_depthwise)
    (tmp_path / "a.onnx").write_bytes(yolox_onnx(model))
    loaded = load_model(tmp_path / "a.onnx")
    assert type(loaded) is CSPDarkNetBackbone
    assert (loaded.stackwise_depth, loaded.use_depthwise) == ([1, 2], use_depthwise)
    for unit in conv_units(model):
        kernel, (gamma, beta, _, variance) = unit_variables(loaded, unit)
        expected_kernel, (_, expected_beta, *_) = unit_variables(model, unit)
        np.testing.assert_array_equal(to_numpy(kernel), to_numpy(expected_kernel))
        np.testing.assert_array_equal(to_numpy(beta), to_numpy(expected_beta))
        scale = to_numpy(gamma) / np.sqrt(to_numpy(variance) + 1e-3)
        np.testing.assert_allclose(scale, 1, rtol=1e-6)


def without_biases(model):
    for node in model.graph.node:
        if node.op_type == "Conv":
            del node.input[2]


def external(model):
    model.graph.initializer[0].data_location = onnx.TensorProto.EXTERNAL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_biases, "not folded"),
        (external, "keeps weights in other files"),
        (lambda model: model.graph.node.pop(0), "no Concat where a CSPDarkNet has one"),
        (lambda model: model.graph.node.pop(2), "not a YOLOX with a CSPDarkNet"),
        (lambda model: model.graph.initializer.pop(0), "damaged"),
    ],
)
def test_other_graphs(path, change, message, refuses):
    model = onnx.load(path)
    change(model)
    path.write_bytes(model.SerializeToString())
    refuses(path, message)


def test_files_larger_than_onnx_allows(path, monkeypatch, refuses):
    monkeypatch.setattr("cspdarknet.checkpoints.readers.onnx.MAX_BYTES", 10)
    refuses(path, "larger than an ONNX file can be")


@needs_nano
def test_a_graph_without_its_stem(tmp_path, refuses):
    model = onnx.load(NANO / "yolox_nano.onnx")
    del model.graph.node[9]  # the stem's convolution
    onnx.save(model, tmp_path / "a.onnx")
    refuses(tmp_path / "a.onnx", "not a YOLOX with a CSPDarkNet")
