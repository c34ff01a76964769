"""Grad-CAM and LayerCAM against closed forms, differences, and pytorch-grad-cam."""

import keras
import numpy as np
import pytest

from cspdarknet.analysis import Explainer, explain
from cspdarknet.analysis.activation_maps import grad_cam, layer_cam
from cspdarknet.analysis.level_graph import LevelGraph
from cspdarknet.checkpoints.readers import yolox
from cspdarknet.checkpoints.targets import collect
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from support import randomize, to_numpy
from torch_darknet import torch_maps
from yolox_files import yolox_like

one_backend = pytest.mark.one_backend
RNG = np.random.default_rng(0)
IMAGE = RNG.integers(0, 255, (64, 64, 3), "uint8")


def backbone_of(channels=(4, 6, 8), **arguments):
    backbone = CSPDarkNetBackbone(channels, [1] * len(channels), True, **arguments)
    return randomize(backbone)


def classifier_of(backbone, **arguments):
    return randomize(ImageClassifier(backbone, 3, image_size=64, **arguments), seed=1)


@pytest.fixture(scope="module")
def classifier():
    return classifier_of(backbone_of())


@pytest.fixture(scope="module")
def detector():
    return randomize(YOLOXDetector(backbone_of(), 2, image_size=64, score_threshold=0.0), seed=2)


def class_weights(classifier, class_id):
    return to_numpy(classifier.get_layer("predictions").kernel)[:, class_id]


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        pytest.param(
            {"topology": "cs3sedarknet", "activation": "leaky_relu_0.01", "channels": (8, 8, 16)},
            marks=one_backend,
        ),
        pytest.param({"topology": "darknet53", "channels": (4, 4, 8, 8, 8)}, marks=one_backend),
        pytest.param({"data_format": "channels_first"}, marks=one_backend),
    ],
    ids=lambda arguments: arguments.get("topology") or arguments.get("data_format", "yolox"),
)
def test_grad_cam_of_a_linear_head_is_its_weights_times_the_maps(arguments):
    classifier = classifier_of(backbone_of(**arguments))
    explainer = Explainer(classifier, "grad-cam")
    explanation, graph = explainer(IMAGE, "class 1"), explainer._activation_map._graph
    maps, _ = graph.forward(IMAGE[None].astype("float32"))
    features = graph.array(maps[explanation.level])
    expected = np.maximum(features @ class_weights(classifier, 1), 0) / features[..., 0].size
    np.testing.assert_allclose(explanation.raw, expected, rtol=1e-5, atol=1e-5 * expected.max())
    assert explanation.raw.shape == features.shape[:2]
    probabilities = explainer.predictor(IMAGE)
    np.testing.assert_allclose(explanation.score, probabilities[1], rtol=1e-4)


@one_backend
def test_the_logits_of_other_activations_are_explained():
    backbone = backbone_of()
    raw = [
        explain(classifier_of(backbone, activation=name), IMAGE, class_name=0).raw
        for name in ("softmax", None, "sigmoid")
    ]
    assert raw[0].max() > 0
    for other in raw[1:]:
        np.testing.assert_allclose(other, raw[0], rtol=1e-5)


@pytest.mark.parametrize("level", [pytest.param("P2", marks=one_backend), "P3"])
def test_gradients_of_a_detector_are_differences_of_its_outputs(detector, level):
    graph = LevelGraph(detector)
    maps, outputs = graph.forward(IMAGE[None].astype("float32"))
    weights = np.zeros(outputs["logits"].shape, "float32")
    weights[0, 5, 1] = 1
    gradient = graph.gradient(level, maps, weights)
    known = list(graph.levels)[: list(graph.levels).index(level) + 1]
    cut = keras.Model([graph.levels[name] for name in known], detector.output)
    direction = RNG.normal(size=gradient.shape)

    def logit(step):
        inputs = [to_numpy(maps[name]) for name in known]
        inputs[-1] = (inputs[-1] + step * direction).astype("float32")
        found = cut.predict_on_batch(inputs if len(inputs) > 1 else inputs[0])
        return float(found["objectness"][0, 5, 0]) + float(found["classes"][0, 5, 1])

    expected = (logit(1e-3) - logit(-1e-3)) / 2e-3
    np.testing.assert_allclose((gradient * direction).sum(), expected, rtol=0.02, atol=2e-3)


@one_backend
def test_a_detection_is_explained_at_the_level_of_its_anchor_point(detector):
    wide = np.zeros((40, 80, 3), "uint8")
    wide[:, :40] = RNG.integers(0, 255, (40, 40, 3))
    explainer = Explainer(detector)
    detections = explainer.predictor(wide)
    for index in (0, len(detections) - 1):
        explanation = explainer(wide, detection=index)
        assert explanation.method == "layer-cam"
        np.testing.assert_allclose(explanation.box, detections.xyxy[index])
        rows = {"P2": 16, "P3": 8, "P4": 4}[explanation.level]
        assert explanation.raw.shape == (rows, rows)
        assert explanation.map.shape == (40, 80)  # without the padding of the letterbox
    forced = explainer(wide, class_name=0, detection=1)
    assert forced.class_id == 0


@one_backend
def test_maps_are_in_pixels_of_the_image(detector):
    """The image fills the left half of the square: two of the four columns."""
    explainer = Explainer(detector)
    given = explainer._preprocess(np.zeros((128, 64, 3), "uint8"))
    raw = np.tile(np.arange(4, dtype="float32"), (4, 1))
    heat = explainer._activation_map._in_pixels(raw, given, 16)
    centers = (np.arange(64) + 0.5) * 2 / 64 - 0.5  # of the pixels, in columns
    np.testing.assert_allclose(heat, np.tile(centers.clip(0), (128, 1)), atol=1e-5)


@one_backend
def test_the_formulas():
    maps, gradients = RNG.normal(size=(2, 3, 4, 5))
    weights = gradients.reshape(-1, 5).mean(axis=0)
    expected = [
        [max(0, sum(w * v for w, v in zip(weights, cell, strict=True))) for cell in row]
        for row in maps
    ]
    np.testing.assert_allclose(grad_cam(maps, gradients), expected, rtol=1e-5)
    products = (np.where(gradients > 0, gradients, 0) * maps).sum(axis=2)
    np.testing.assert_allclose(layer_cam(maps, gradients), products.clip(0), rtol=1e-5)


@one_backend
@pytest.mark.parametrize("method", ["grad-cam", "layer-cam"])
def test_pytorch_grad_cam_finds_the_same(method):
    torch = pytest.importorskip("torch")
    cam = pytest.importorskip("pytorch_grad_cam", reason="needs pip install grad-cam")
    backbone = yolox_like(activation="relu")
    classifier = classifier_of(backbone)
    ours = explain(classifier, IMAGE, method, level="P3", class_name=2)
    weights = collect(yolox.layout(backbone))
    head = torch.as_tensor(class_weights(classifier, slice(None))).double()

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.level = torch.nn.Identity()
            self.unused = torch.nn.Linear(1, 1)  # the library asks for the device of a parameter

        def forward(self, images):
            maps = torch_maps(weights, images, "relu", tap=("dark3", self.level))
            return maps.mean((2, 3)) @ head

    network = Network()
    found = {"grad-cam": cam.GradCAM, "layer-cam": cam.LayerCAM}[method](network, [network.level])
    pixels = IMAGE[None, :, :, ::-1].transpose(0, 3, 1, 2).astype("float64")
    target = cam.utils.model_targets.ClassifierOutputTarget(2)
    found(torch.as_tensor(pixels).requires_grad_(), targets=[target])
    stored = found.activations_and_grads
    arrays = (x[0].numpy() for x in (stored.activations, stored.gradients))
    theirs = found.get_cam_image(None, None, None, *arrays, False)[0]
    assert theirs.max() > 0
    np.testing.assert_allclose(ours.raw, theirs.clip(0), rtol=1e-4, atol=1e-4 * theirs.max())
