"""`GraphWriter`, node by node."""

import numpy as np
import pytest

from cspdarknet.export.onnx.writer import GraphWriter, Value

pytest.importorskip("onnx")
pytestmark = pytest.mark.one_backend


def test_names_are_unique():
    writer = GraphWriter(reserved=["x"])
    assert [writer.node("Relu", "x", name=name) for name in ("x", "y", "y")] == [
        "x__2",
        "y",
        "y__2",
    ]


def test_equal_small_constants_are_stored_once():
    writer = GraphWriter()
    assert writer.constant([1, 2]) == writer.constant([1.0, 2.0])
    assert writer.constant([1, 2], "int64") != writer.constant([1, 2], "float32")
    assert writer.constant([[1, 2]]) != writer.constant([1, 2])
    assert len(writer.constants) == 3


def test_layouts_and_padding(run_onnxruntime):
    """A tensor returns to the Keras layout with its padding applied."""
    writer = GraphWriter(reserved=["images", "y"])
    value = writer.channels_first(Value("images", 4), "channels_last")
    assert value.moved
    value = writer.as_keras(Value(value.name, 4, moved=True, pads=(1, 0, 2, 3)))
    model = writer.model(
        {"images": ("float32", ["batch", 4, 5, 3])},
        {"y": (value.name, "float32", ["batch", 7, 8, 3])},
        {"key": "value"},
        "graph",
    )
    images = np.random.default_rng(0).normal(size=(2, 4, 5, 3)).astype("float32")
    padded = np.pad(images, [(0, 0), (1, 2), (0, 3), (0, 0)])
    np.testing.assert_array_equal(run_onnxruntime(model, images)["y"], padded)
    assert [(item.key, item.value) for item in model.metadata_props] == [("key", "value")]
