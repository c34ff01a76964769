"""Storage of weights in float16."""

import numpy as np
import pytest

from cspdarknet.export import build_onnx
from cspdarknet.export.onnx.float16 import store_float16
from support import relative_error

onnx = pytest.importorskip("onnx")
pytestmark = pytest.mark.one_backend


def test_only_weights_are_stored_in_float16(detector):
    """In float16 the letterbox would round pixel indices from 2048 on."""
    graph = store_float16(build_onnx(detector, letterbox=True)).graph
    stored = {item.name for item in graph.initializer if item.data_type == onnx.TensorProto.FLOAT16}
    assert stored
    assert all(".kernel" in name or ".bias" in name for name in stored)


def test_large_weights_are_clipped_and_computed_in_float32(run_onnxruntime, noise, classifier):
    model = build_onnx(classifier)
    kernel = next(item for item in model.graph.initializer if item.name.endswith(".kernel"))
    weights = onnx.numpy_helper.to_array(kernel).copy()
    result = store_float16(model)
    assert (
        relative_error(
            run_onnxruntime(result, noise())["probabilities"],
            run_onnxruntime(model, noise())["probabilities"],
        )
        < 5e-3
    )
    kernel.CopyFrom(onnx.numpy_helper.from_array(np.full_like(weights, 1e6), kernel.name))
    clipped = {item.name: item for item in store_float16(model).graph.initializer}
    stored = onnx.numpy_helper.to_array(clipped[f"{kernel.name}.float16"])
    assert (stored == np.finfo("float16").max).all()
