"""ONNX graphs compute what the Keras models do, in ONNX Runtime and OpenVINO."""

import keras
import numpy as np
import pytest

from cspdarknet.export import build_onnx
from cspdarknet.export.inference_graph import inference_graph
from cspdarknet.export.onnx.model import onnx_for_runtime
from cspdarknet.model_info import KEY, ModelInfo
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from support import SMALL, TINY_NET, needs_channels_first, randomize, relative_error

pytest.importorskip("onnx")
pytestmark = pytest.mark.one_backend  # weights as NumPy arrays are all that a backend provides
TOLERANCE = 1e-5  # of the largest value; seen: below 3e-6
NORMALIZATION = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]}


@pytest.mark.parametrize(
    "config",
    [
        {},
        pytest.param({"data_format": "channels_first"}, marks=needs_channels_first),
        {"padding": "symmetric"},
        {"use_depthwise": True},
        {"include_rescaling": False},
        {"dtype": "mixed_bfloat16"},
        {"activation": "relu", **NORMALIZATION},
        {"activation": "leaky_relu"},
        {"activation": "relu6", "use_depthwise": True},
        {"activation": "hard_swish", "include_rescaling": False, **NORMALIZATION},
        {"activation": "leaky_relu", "data_format": "channels_first", **NORMALIZATION},
    ],
    ids=str,
)
def test_backbone_configs(run_onnx, noise, config):
    backbone = randomize(CSPDarkNetBackbone(**SMALL, **{"include_rescaling": True, **config}))
    pyramid = backbone.feature_pyramid(["P2", "P3", "P4", "P5"])
    images = noise().astype("float32")
    if "data_format" in config:
        images = images.transpose(0, 3, 1, 2)
    outputs = run_onnx(build_onnx(pyramid, inputs="float32"), images)
    tolerance = 0.05 if "dtype" in config else TOLERANCE
    for name, value in pyramid.predict_on_batch(images).items():
        assert relative_error(outputs[name], value) < tolerance, name


@pytest.mark.parametrize(("height", "width", "count"), [(64, 64, 1), (33, 70, 3), (1, 5, 2)])
def test_dynamic_batch_and_image_size(run_onnx, noise, backbone, height, width, count):
    images = noise(height, width, count)
    outputs = run_onnx(build_onnx(backbone), images)
    expected = backbone.predict_on_batch(images.astype("float32"))
    assert relative_error(outputs["features"], expected) < TOLERANCE


@pytest.mark.parametrize("pooling", ["avg", "max"])
def test_classifier(run_onnx, noise, pooling):
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    classifier = randomize(ImageClassifier(backbone, 3, pooling, dropout=0.2))
    outputs = run_onnx(build_onnx(classifier), noise())
    expected = classifier.predict_on_batch(noise().astype("float32"))
    np.testing.assert_allclose(outputs["probabilities"], expected, atol=1e-6)


def test_raw_outputs_of_a_detector(run_onnx, noise, detector):
    images = noise(96, 64)
    outputs = run_onnx(build_onnx(detector, raw_outputs=True), images)
    expected = keras.Model.predict_on_batch(detector, images.astype("float32"))
    assert outputs.keys() == expected.keys()
    for name, value in expected.items():
        assert relative_error(outputs[name], value) < TOLERANCE, name


def test_convolutions_are_merged_for_openvino_only(run_onnxruntime, noise, backbone):
    models = [build_onnx(backbone, runtime) for runtime in ("openvino", "onnxruntime")]
    merged, separate = ({node.name for node in model.graph.node} for model in models)
    assert any(name.endswith("_merged") for name in merged)
    assert not any(name.endswith("_merged") for name in separate)
    results = [run_onnxruntime(model, noise())["features"] for model in models]
    assert relative_error(*results) < TOLERANCE


def test_metadata(classifier):
    (entry,) = build_onnx(classifier).metadata_props
    assert entry.key == KEY
    info = ModelInfo.from_json(entry.value, "a test")
    assert info == inference_graph(classifier)[1]
    assert info.inputs == "uint8"


def test_int8_needs_calibration_images(classifier):
    graph, info = inference_graph(classifier)
    with pytest.raises(ValueError, match="`calibration` must be given for precision='int8'"):
        onnx_for_runtime(graph, ModelInfo("classification", precision="int8"), "onnxruntime")
    with pytest.raises(ValueError, match="and only then"):
        onnx_for_runtime(graph, info, "onnxruntime", calibration=[])


def _layer_normalization(x):
    return keras.layers.LayerNormalization(name="norm")(x)


def _selu(x):
    return keras.layers.Activation("selu")(x)


def _training(x):
    return keras.layers.BatchNormalization(name="norm")(x, training=True)


def _bilinear(x):
    return keras.layers.UpSampling2D(interpolation="bilinear")(x)


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (_layer_normalization, "'norm', a LayerNormalization"),
        (_selu, "activation 'selu'"),
        (_training, "'norm', which is called with it"),
        (_bilinear, "interpolation='bilinear'"),
    ],
)
def test_layers_that_cannot_be_converted(layer, message):
    x = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match=message):
        build_onnx(keras.Model(x, layer(x)))
