"""What is quantized to int8, and what stays in float."""

import pytest

from cspdarknet.export import build_onnx, quantize
from cspdarknet.export.quantization import _depthwise_first_stage, _outer_nodes
from cspdarknet.models import CSPDarkNetBackbone
from support import SMALL, randomize, relative_error

pytest.importorskip("onnx")
pytestmark = pytest.mark.one_backend


def test_outer_nodes_stay_in_float(detector, classifier):
    names = set(_outer_nodes(build_onnx(detector, letterbox=True).graph))
    convolutions = {n.name for n in build_onnx(detector).graph.node if n.op_type == "Conv"}
    predictions = {
        name for name in convolutions if name.endswith(("classes", "boxes", "objectness"))
    }
    assert names & convolutions == predictions
    assert {"nonmaxsuppression", "round", "decoded_scores"} <= names
    graph = build_onnx(classifier).graph
    (dense,) = (node.name for node in graph.node if node.op_type == "MatMul")
    assert dense in _outer_nodes(graph)


@pytest.mark.parametrize("use_depthwise", [False, True])
def test_a_depthwise_first_stage_stays_in_float(use_depthwise):
    backbone = CSPDarkNetBackbone(**SMALL, include_rescaling=True, use_depthwise=use_depthwise)
    names = _depthwise_first_stage(build_onnx(backbone).graph)
    if not use_depthwise:
        assert not names
    else:
        assert any(name.startswith("dark2_") for name in names)
        assert any(name.startswith("stem_") for name in names)
        assert not any(name.startswith("dark3_") for name in names)


def test_the_convolutions_between_them_are_quantized(noise):
    pytest.importorskip("onnxruntime")
    backbone = CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True, use_depthwise=True)
    nodes = quantize(build_onnx(backbone), [noise(32, 32)]).graph.node
    from_int8 = {node.output[0] for node in nodes if node.op_type == "DequantizeLinear"}
    kernels = {node.name: node.input[1] for node in nodes if node.op_type == "Conv"}
    in_float = {name for name, kernel in kernels.items() if kernel not in from_int8}
    outer = {name for name in kernels if name.startswith(("stem_", "dark2_"))} | {"dark3_csp"}
    assert in_float == outer < set(kernels)


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "relu6", "hard_swish"])
def test_activations(activation, noise, run_onnxruntime):
    pytest.importorskip("onnxruntime")
    options = {"activation": activation, "mean": [0.5] * 3, "std": [0.2] * 3}
    backbone = randomize(CSPDarkNetBackbone([8, 16], [1, 1], include_rescaling=True, **options))
    model, images = build_onnx(backbone), noise(64, 64, count=4)
    outputs = [run_onnxruntime(m, images)["features"] for m in (quantize(model, [images]), model)]
    assert 1e-4 < relative_error(*outputs) < 0.1


def test_metadata_is_kept(classifier, noise, run_onnxruntime):
    pytest.importorskip("onnxruntime")
    model = build_onnx(classifier)
    quantized = quantize(model, [noise(64, 64)])
    assert quantized.metadata_props == model.metadata_props
    outputs = [run_onnxruntime(m, noise(64, 64))["probabilities"] for m in (quantized, model)]
    assert relative_error(*outputs) < 0.2


def test_wrong_arguments(classifier):
    model = build_onnx(classifier)
    with pytest.raises(ValueError, match="must hold images"):
        quantize(model, [])
    with pytest.raises(ValueError, match="`runtime` must be one of"):
        quantize(model, [], "keras")
