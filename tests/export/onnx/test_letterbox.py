"""Conversion of the letterbox of float32 images, which keeps their values."""

import keras
import numpy as np
import pytest

from cspdarknet.export.inference_graph import inference_graph
from cspdarknet.export.onnx.model import onnx_from_graph
from cspdarknet.model_info import ModelInfo
from cspdarknet.yolox.letterbox import letterbox
from cspdarknet.yolox.letterbox_layer import Letterbox


@pytest.mark.parametrize("image_size", [(37, 90), (150, 41), (64, 96), (30, 50)])
@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_values_of_16_bits_are_kept(run_onnx, image_size, data_format):
    size, first = (64, 96), data_format == "channels_first"
    image = np.random.default_rng(0).integers(0, 2000, (*image_size, 4)) / np.float32(257)
    images = image.astype("float32")[None]
    shape = (4, None, None) if first else (None, None, 4)
    x = keras.Input(shape, name="images")
    squares, sizes = Letterbox(size, data_format, round_values=False)(x)
    graph = onnx_from_graph(
        keras.Model(x, {"squares": squares, "sizes": sizes}), ModelInfo("features")
    )
    outputs = run_onnx(graph, images.transpose(0, 3, 1, 2) if first else images)
    square = outputs["squares"][0]
    expected = letterbox(images[0], size)[0]
    np.testing.assert_allclose(square.transpose(1, 2, 0) if first else square, expected, atol=1e-5)
    np.testing.assert_array_equal(outputs["sizes"], [image_size])


@pytest.mark.parametrize(("inputs", "rounds"), [("uint8", True), ("float32", False)])
def test_exports_for_uint8_round_values_and_those_for_float32_do_not(tiny_detector, inputs, rounds):
    graph, _ = inference_graph(tiny_detector, inputs=inputs, letterbox=True)
    layers = [layer for layer in graph.layers if isinstance(layer, Letterbox)]
    assert [layer.round_values for layer in layers] == [rounds]
