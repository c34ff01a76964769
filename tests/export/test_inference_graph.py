"""The inference graph and its `ModelInfo`."""

import keras
import numpy as np
import pytest

from cspdarknet.detections import DetectionOptions
from cspdarknet.export.inference_graph import inference_graph
from cspdarknet.model_info import ModelInfo
from cspdarknet.models import CSPDarkNetBackbone
from cspdarknet.yolox.postprocess import NonMaxSuppression
from support import TINY_NET, randomize, relative_error

pytestmark = pytest.mark.one_backend


def test_info_of_each_task(backbone, classifier, detector):
    assert inference_graph(backbone)[1] == ModelInfo("features", inputs="uint8")
    assert inference_graph(classifier, inputs="float32")[1] == ModelInfo(
        "classification", class_names=("a", "b", "c"), image_size=64
    )
    names = tuple(detector.class_names)
    common = {
        **{"class_names": names, "image_size": 96, "inputs": "uint8"},
        "score_threshold": detector.score_threshold,
        "levels": detector.levels,
    }
    info = ModelInfo("detection", letterbox=True, max_detections=100, **common)
    assert inference_graph(detector, letterbox=True)[1] == info
    info = ModelInfo("detection", raw_outputs=True, **common)
    assert inference_graph(detector, raw_outputs=True)[1] == info


def test_outputs_of_each_task(backbone, classifier, detector):
    assert inference_graph(backbone)[0].output.keys() == {"features"}
    assert inference_graph(backbone.feature_pyramid(["P2", "P3"]))[0].output.keys() == {"P2", "P3"}
    assert inference_graph(classifier)[0].output.keys() == {"probabilities"}
    names = {"boxes", "classes", "confidence", "num_detections"}
    assert inference_graph(detector)[0].output.keys() == names
    assert inference_graph(detector, raw_outputs=True)[0].output.keys() == detector.output.keys()


@pytest.mark.parametrize("activation", ["softmax", None])
def test_a_classifier_returns_probabilities(noise, activation):
    from cspdarknet.models import ImageClassifier

    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    classifier = randomize(ImageClassifier(backbone, 3, activation=activation))
    graph, _ = inference_graph(classifier)
    probabilities = np.asarray(graph.predict_on_batch(noise())["probabilities"])
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_options_of_a_detector(detector):
    """Options come first, then the model's own values; `image_size` may be given in two places."""
    options = DetectionOptions(score_threshold=0.5, max_detections=7)
    graph, info = inference_graph(detector, image_size=64, options=options)
    (nms,) = (layer for layer in graph.layers if isinstance(layer, NonMaxSuppression))
    assert (nms.score_threshold, nms.max_detections) == (0.5, 7)
    assert nms.iou_threshold == detector.iou_threshold
    assert info.image_size == 64
    assert graph.inputs[0].shape == (None, 64, 64, 3)
    options = DetectionOptions(image_size=64)
    assert inference_graph(detector, options=options)[1].image_size == 64
    assert inference_graph(detector, image_size=64, options=options)[1].image_size == 64
    with pytest.raises(ValueError, match="must agree"):
        inference_graph(detector, image_size=96, options=options)
    with pytest.raises(ValueError, match="multiple of 32"):
        inference_graph(detector, image_size=100)


def test_image_size():
    fixed = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, input_shape=(64, 64, 3))
    assert inference_graph(fixed)[1].image_size == 64
    dynamic = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    graph, info = inference_graph(dynamic, image_size=np.int64(48))
    assert info.image_size == 48
    assert graph.inputs[0].shape == (None, 48, 48, 3)
    assert inference_graph(dynamic)[1].image_size is None
    with pytest.raises(ValueError, match="`image_size` must be an integer"):
        inference_graph(dynamic, image_size=64.5)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "bfloat16"])
def test_half_precision_is_computed_in_float32(noise, policy):
    kwargs = {**TINY_NET, "include_rescaling": True}
    half = randomize(CSPDarkNetBackbone(**kwargs, dtype=policy))
    graph, _ = inference_graph(half)
    assert {layer.compute_dtype for layer in graph.layers[1:]} == {"float32"}
    same = CSPDarkNetBackbone(**kwargs)
    same.set_weights([np.asarray(w, "float32") for w in half.get_weights()])
    expected = same.predict_on_batch(noise().astype("float32"))
    assert relative_error(graph.predict_on_batch(noise())["features"], expected) < 1e-5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": "int8"}, "`inputs` must be one of"),
        ({"raw_outputs": True}, "`raw_outputs` is for detectors"),
        ({"letterbox": True}, "are for detectors"),
        ({"options": DetectionOptions(score_threshold=0.5)}, "are for detectors"),
    ],
    ids=str,
)
def test_arguments_that_do_not_fit_a_backbone(backbone, arguments, message):
    with pytest.raises(ValueError, match=message):
        inference_graph(backbone, **arguments)


@pytest.mark.parametrize("arguments", [{"letterbox": True}, {"options": DetectionOptions(0.5)}])
def test_arguments_that_do_not_fit_raw_outputs(detector, arguments):
    with pytest.raises(ValueError, match="without `raw_outputs`"):
        inference_graph(detector, raw_outputs=True, **arguments)


def test_models_that_have_no_inference_graph():
    with pytest.raises(ValueError, match="must be a Keras model: load a preset with `load_model`"):
        inference_graph("csp_darknet_tiny")
    x = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="a list of tensors"):
        inference_graph(keras.Model(x, [keras.layers.Conv2D(2, 1)(x) for _ in range(2)]))
    other = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="must have one input"):
        inference_graph(keras.Model([x, other], keras.layers.Add()([x, other])))
