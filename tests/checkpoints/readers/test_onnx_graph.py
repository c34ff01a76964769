"""The graph of an ONNX file: constants and activations."""

import numpy as np
import pytest

from cspdarknet.checkpoints import CheckpointError
from cspdarknet.checkpoints.readers.onnx_graph import Graph

pytestmark = pytest.mark.one_backend
onnx = pytest.importorskip("onnx")


def graph(*nodes, **constants):
    initializers = [
        onnx.numpy_helper.from_array(np.asarray(value, "float32"), name)
        for name, value in constants.items()
    ]
    made = [onnx.helper.make_node(*node, **attributes) for *node, attributes in nodes]
    proto = onnx.helper.make_graph(made, "g", [], [], initializers)
    return Graph(proto, onnx.numpy_helper.to_array)


def test_constants_are_found_behind_nodes():
    value = onnx.numpy_helper.from_array(np.ones(2, "float32"))
    found = graph(
        ("Constant", [], ["a"], {"value": value}),
        ("Identity", ["a"], ["b"], {}),
        ("Constant", [], ["c"], {"value_ints": [3, 4]}),
        ("Identity", ["d"], ["d"], {}),
        e=5.0,
    )
    assert found.constant("b").tolist() == [1, 1]
    assert found.constant("c").tolist() == [3, 4]
    assert found.constant("e") == 5
    assert found.constant("d") is None
    assert found.constant("x") is None


@pytest.mark.parametrize(
    ("nodes", "constants", "activation"),
    [
        ([("Clip", ["x"], ["y"], {"min": 0.0, "max": 6.0})], {}, "relu6"),
        ([("Clip", ["x", "a", "b"], ["y"], {})], {"a": 0, "b": 6}, "relu6"),
        ([("Swish", ["x"], ["y"], {"alpha": 1.0})], {}, "silu"),
        ([("LeakyRelu", ["x"], ["y"], {"alpha": 0.1})], {}, "leaky_relu"),
    ],
)
def test_activations(nodes, constants, activation):
    assert graph(*nodes, **constants).activation("x") == (activation, "y")


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        ([("LeakyRelu", ["x"], ["y"], {"alpha": 0.2})], "have the slope 0.2, and .* 0.1 alone"),
        ([("LeakyRelu", ["x"], ["y"], {})], "have the slope 0.01"),
        ([("Elu", ["x"], ["y"], {"alpha": 1.0})], r"does not have: Elu\(alpha=1\)"),
        ([("Mish", ["x"], ["y"], {})], "does not have: Mish"),
        ([("Clip", ["x"], ["y"], {"min": 0.0, "max": 20.0})], "does not have: Clip"),
        ([("Clip", ["x", "", "b"], ["y"], {})], "does not have: Clip"),
        (
            [("HardSigmoid", ["x"], ["s"], {"alpha": 0.2}), ("Mul", ["x", "s"], ["y"], {})],
            r"does not have: HardSigmoid\(alpha=0.2\) and Mul",
        ),
        (
            [("Sigmoid", ["x"], ["s"], {}), ("Mul", ["x", "x"], ["y"], {})],
            "does not have: Sigmoid and Mul",
        ),
        ([], "does not have: none"),
    ],
)
def test_other_activations(nodes, message):
    with pytest.raises(CheckpointError, match=message):
        graph(*nodes, b=6).activation("x")
