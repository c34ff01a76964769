"""Explanations of classifiers and detectors by occlusion, targets, pictures and files."""

import json

import keras
import numpy as np
import pytest

from cspdarknet.analysis import Explainer, Explanation, explain
from cspdarknet.analysis.explanation import heat_colors, normalized
from cspdarknet.analysis.targets import Target, TargetError, detection_target
from cspdarknet.detections import Detections
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, ImageRegressor
from support import randomize

pytestmark = pytest.mark.one_backend
IMAGE = np.random.default_rng(0).integers(0, 255, (48, 40, 3), "uint8")
DETECTIONS = Detections(
    [[0, 0, 10, 10], [20, 20, 30, 30], [5, 0, 15, 10]],
    [0.9, 0.8, 0.6],
    [0, 1, 0],
    (40, 40),
    ("a", "b"),
)


@pytest.fixture(scope="module")
def classifier():
    backbone = randomize(CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True))
    return randomize(ImageClassifier(backbone, 3, image_size=32, class_names=("x", "y", "z")))


def test_occlusion_is_the_fall_of_the_probability(classifier):
    calls = []
    explainer = Explainer(classifier, "occlusion", grid=2, runtime="keras")
    found = explainer(IMAGE, "y", progress=calls.append)
    assert len(calls) == explainer.passes == 4
    assert found.image.shape == (32, 32, 3)
    assert (found.method, found.level, found.class_name) == ("occlusion", None, "y")
    covered = found.image.copy()
    edge = round(64 / 3)  # of the second cell of three
    covered[:edge, :edge] = np.rint(found.image.mean(axis=(0, 1)))
    probabilities = classifier.predict(np.stack([found.image, covered]), verbose=0)[:, 1]
    np.testing.assert_allclose(found.raw[0, 0], probabilities[0] - probabilities[1], atol=1e-5)
    np.testing.assert_allclose(found.score, probabilities[0], atol=1e-5)


def test_the_most_probable_class_and_ids(classifier):
    probabilities = Explainer(classifier).predictor(IMAGE)
    explanation = explain(classifier, IMAGE, level="P2")
    assert explanation.class_id == probabilities.argmax()
    assert explanation.raw.shape == (8, 8)
    assert explain(classifier, IMAGE, class_name=2).class_name == "z"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "gradcam"}, "method"),
        ({"level": "P7"}, "level"),
        ({"class_name": "w"}, "x, y, z"),
        ({"detection": 0}, "for a model for classification"),
        ({"method": "occlusion", "level": "P2"}, "leave it out"),
        ({"method": "occlusion", "grid": 0}, "grid"),
    ],
)
def test_wrong_arguments(classifier, arguments, message):
    with pytest.raises(ValueError, match=message):
        explain(classifier, IMAGE, **arguments)


def test_what_raises_a_number():
    """Grad-CAM of an average pool and a linear head: the maps weighted by the kernel, exactly."""
    backbone = randomize(CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True))
    regressor = randomize(
        ImageRegressor(backbone, ["age", "weight"], image_size=32, mean=[40, 70], std=[9, 12])
    )
    explainer = Explainer(regressor)
    found = explainer(IMAGE, "weight")
    maps = backbone.predict(found.image[None], verbose=0)[0]
    kernel = regressor.get_layer("predictions").kernel
    expected = maps @ np.asarray(keras.ops.convert_to_numpy(kernel))[:, 1] / maps[..., 0].size
    np.testing.assert_allclose(found.raw, np.maximum(expected, 0), rtol=1e-4, atol=1e-7)
    numbers = regressor.predict(found.image[None], verbose=0)[0]
    assert (found.class_name, found.class_id) == ("weight", 1)
    np.testing.assert_allclose(found.score, numbers[1], rtol=1e-5)
    first = explain(regressor, IMAGE, "occlusion", grid=1, runtime="keras")
    covered = np.full_like(found.image, np.rint(found.image.mean(axis=(0, 1))))
    fall = numbers[0] - regressor.predict(covered[None], verbose=0)[0, 0]
    assert first.class_name == "age"
    np.testing.assert_allclose(first.raw, fall, rtol=1e-4, atol=1e-4)
    assert explainer.check("1", None) == 1
    for name in ("height", 2, -1):
        with pytest.raises(ValueError, match="number of the regressor: age, weight"):
            explainer.check(name, None)


def test_backbones_have_no_classes(classifier):
    with pytest.raises(ValueError, match="Received: a model for features"):
        Explainer(classifier.backbone)


def test_exported_files_are_explained_by_occlusion_only(classifier, tmp_path):
    pytest.importorskip("onnxruntime")
    from cspdarknet.export import build_onnx

    path = tmp_path / "model.onnx"
    path.write_bytes(build_onnx(classifier).SerializeToString())
    with pytest.raises(ValueError, match=r"which an exported file does not have.*occlusion"):
        explain(path, IMAGE, "grad-cam")
    found = explain(path, IMAGE, grid=2, runtime="onnxruntime")
    own = explain(classifier, IMAGE, "occlusion", grid=2, runtime="keras")
    np.testing.assert_allclose(found.raw, own.raw, atol=1e-5)


def test_the_target_among_detections():
    assert detection_target(DETECTIONS, None, 0) == Target(0, pytest.approx(0.9), (0, 0, 10, 10))
    assert detection_target(DETECTIONS, 0, 1).box == (5, 0, 15, 10)
    with pytest.raises(TargetError, match="has 1 detections of class b"):
        detection_target(DETECTIONS, 1, 1)


def test_the_score_of_a_detection_in_a_changed_image():
    target = Target(0, 0.9, (0, 0, 10, 10))
    assert target.score_in(DETECTIONS) == pytest.approx(0.9)
    assert target.score_in(DETECTIONS[[1, 2]]) == pytest.approx(0.6 / 3)  # an IoU of a third
    assert target.score_in(DETECTIONS[[1]]) == 0
    assert Target(2, 0.5).score_in(np.array([0.1, 0.2, 0.7])) == pytest.approx(0.7)


def test_pictures_and_files(tmp_path):
    heat = np.zeros((30, 40), "float32")
    heat[10, 10] = 1
    image = np.full((30, 40, 3), 100, "uint8")
    found = Explanation(
        image, heat, heat[:2], "layer-cam", "P4", 1, "b", 0.5, (5.0, 5.0, 20.0, 20.0)
    )
    overlay = np.asarray(found.overlay())
    np.testing.assert_array_equal(overlay[25, 30], image[25, 30])  # nothing is hidden
    assert overlay[10, 10, 0] > overlay[10, 10, 2] + 50
    np.testing.assert_array_equal(overlay[5, 10], (255, 255, 255))
    assert found.picture().size == (2 * 370 + 10, 270 + 36)
    assert found.title == "b 0.50  layer-cam P4"
    found.save(tmp_path / "a" / "b.npz")
    with np.load(tmp_path / "a" / "b.npz") as stored:
        np.testing.assert_array_equal(stored["map"], heat)
        assert json.loads(str(stored["about"]))["box"] == [5, 5, 20, 20]
    with pytest.raises(ValueError, match="npz"):
        found.save(tmp_path / "b.npy")


def test_maps_are_fractions_of_the_largest_value():
    np.testing.assert_allclose(normalized(np.array([[-1, 2], [4, 0]])), [[0, 0.5], [1, 0]])
    np.testing.assert_array_equal(normalized(np.array([[-1.0, np.nan]])), [[0, 0]])
    assert heat_colors(np.array([0.0, 1.0])).tolist() == [[20, 10, 70], [200, 20, 20]]
