"""The inference graph of a detector: its options, its cache, and how it is saved and exported."""

from dataclasses import replace

import keras
import numpy as np
import pytest

from cspdarknet.detections import DetectionOptions
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector
from cspdarknet.models.detection_graph import MAX_GRAPHS
from support import randomize, to_numpy

IMAGE = np.random.default_rng(0).integers(0, 256, (1, 48, 64, 3)).astype("float32")


def build(dtype=None, **options):
    backbone = CSPDarkNetBackbone([8, 12, 16], [1, 1, 1], False, padding="symmetric", dtype=dtype)
    return randomize(YOLOXDetector(backbone, 3, image_size=64, score_threshold=0.3, **options))


@pytest.fixture(scope="module")
def detector():
    return build()


@pytest.mark.one_backend
def test_options_override_the_models_own(detector):
    own = DetectionOptions(0.3, 0.65, 100, 64, class_agnostic_nms=False)
    assert detector.resolve_options() == own
    options = DetectionOptions(iou_threshold=0.5, image_size=96)
    assert detector.resolve_options(options) == replace(own, iou_threshold=0.5, image_size=96)
    graph = detector.inference_model(DetectionOptions(0.4, 0.5, 7, 96))
    nms = graph.get_layer("nms")
    assert (nms.score_threshold, nms.iou_threshold, nms.max_detections) == (0.4, 0.5, 7)
    assert graph.get_layer("decode").image_size == graph.get_layer("letterbox").size == 96


@pytest.mark.one_backend
def test_thresholds_of_classes(detector):
    options = DetectionOptions({"class 2": 0.5})
    assert detector.resolve_options(options).score_threshold == (0.3, 0.3, 0.5)
    graph = detector.inference_model(DetectionOptions((0.1, 0.2, 0.3)))
    assert graph.get_layer("nms").score_threshold == (0.1, 0.2, 0.3)


@pytest.mark.one_backend
def test_choice_of_results(detector):
    options = DetectionOptions(classes=["class 2", 0], class_agnostic_nms=True)
    nms = detector.inference_model(options).get_layer("nms")
    assert (nms.classes, nms.class_agnostic_nms, nms.max_detections_per_class) == (
        (0, 2),
        True,
        None,
    )
    assert detector.inference_model(
        DetectionOptions(classes=[2, "0"], class_agnostic_nms=True)
    ) is (detector.inference_model(options))


@pytest.mark.one_backend
def test_a_detector_stores_its_kind_of_nms(tmp_path):
    detector = build(class_agnostic_nms=True, max_detections_per_class=4)
    detector.save_to_preset(tmp_path / "preset")
    for same in (
        YOLOXDetector.from_preset(tmp_path / "preset"),
        YOLOXDetector.from_config(detector.get_config()),
    ):
        options = same.resolve_options()
        assert (options.class_agnostic_nms, options.max_detections_per_class) == (True, 4)
        other = same.resolve_options(DetectionOptions(class_agnostic_nms=False))
        assert other.class_agnostic_nms is False


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (DetectionOptions({"cat": 0.5}), "classes of the model: class 0, .*Received: cat"),
        (DetectionOptions((0.5, 0.5)), "one for each of the 3 classes"),
        (
            DetectionOptions(classes=["cat"]),
            "`classes` must be classes of the model.*Received: cat",
        ),
        (DetectionOptions(classes=[0, 3]), "or their ids, 0 to 2. Received: 3"),
        (DetectionOptions(image_size=100), "multiple of 16.*Received: image_size=100"),
        (0.3, "`options` must be DetectionOptions or None. Received: options=0.3"),
    ],
)
def test_bad_options(detector, options, message):
    with pytest.raises(ValueError, match=message):
        detector.inference_model(options)


@pytest.mark.one_backend
def test_graphs_are_built_once_and_the_oldest_is_dropped():
    detector = build()
    first = detector.inference_model()
    assert detector.inference_model(DetectionOptions(score_threshold=0.3)) is first
    assert detector.inference_model(letterboxed=True) is not first
    detector.bounding_box_format = "xywh"
    assert detector.inference_model() is not first
    detector.bounding_box_format = "xyxy"
    for count in range(1, MAX_GRAPHS - 2):
        detector.inference_model(DetectionOptions(max_detections=count))
    assert detector.inference_model() is first
    detector.inference_model(DetectionOptions(max_detections=MAX_GRAPHS))
    assert detector.inference_model() is not first


@pytest.mark.one_backend
def test_graphs_share_the_weights_and_are_not_saved_with_the_detector(tmp_path):
    detector = build()
    graph = detector.inference_model()
    assert [v.path for v in graph.weights] == [v.path for v in detector.weights]
    before = to_numpy(graph(IMAGE)["confidence"])
    randomize(detector, seed=1)
    assert not np.array_equal(to_numpy(graph(IMAGE)["confidence"]), before)
    detector.save_weights(tmp_path / "a.weights.h5")
    build().load_weights(tmp_path / "a.weights.h5")


@pytest.mark.one_backend
def test_it_is_saved_and_takes_images_of_any_size(detector, tmp_path):
    options = DetectionOptions((0.3, 0.2, 0.4), max_detections=20)
    graph = detector.inference_model(options)
    graph.save(tmp_path / "graph.keras")
    restored = keras.saving.load_model(tmp_path / "graph.keras")
    for size in ((48, 64), (100, 30), (1, 1)):
        image = np.random.default_rng(0).integers(0, 256, (1, *size, 3)).astype("float32")
        expected = graph.predict_on_batch(image)
        assert expected["boxes"].shape == (1, 20, 4)
        for name, value in restored.predict_on_batch(image).items():
            np.testing.assert_allclose(value, expected[name], atol=1e-4)


@pytest.mark.one_backend
def test_boxes_are_computed_in_float32_under_any_policy(detector):
    exact = to_numpy(detector.inference_model()(IMAGE)["boxes"])
    keras.config.set_dtype_policy("mixed_float16")
    graph = build(dtype="float32").inference_model()
    np.testing.assert_allclose(to_numpy(graph(IMAGE)["boxes"]), exact, atol=1e-3)
    nms = graph.get_layer("nms")
    assert nms.compute_dtype == "float32"
    # The areas of these boxes are not float16 numbers.
    large = np.array([[[0, 0, 390, 390], [1, 0, 390, 391], [0, 1, 391, 390]]], "float32")
    outputs = nms(large, np.array([[[0.9], [0.8], [0.7]]], "float32"))
    assert to_numpy(outputs["num_detections"]) == [1]


@pytest.mark.slow
@pytest.mark.skipif(keras.backend.backend() != "torch", reason="about PyTorch's export")
@pytest.mark.parametrize(
    "options",
    [
        DetectionOptions((0.3, 0.2, 0.4), max_detections=20),
        DetectionOptions(0.2, classes=[0, 2], max_detections=10, max_detections_per_class=3),
        DetectionOptions(0.2, class_agnostic_nms=True, max_detections=10),
    ],
)
def test_it_is_exported_by_torch(detector, options):
    """NMS ends early, in a loop that PyTorch cannot trace, so that it traces another one."""
    import torch

    graph = detector.inference_model(options)
    batch = torch.tensor(IMAGE)
    expected = {name: to_numpy(value) for name, value in graph(batch).items()}
    assert expected["num_detections"][0] > 1
    outputs = torch.export.export(graph, (batch,)).module()(batch)
    for name, value in outputs.items():
        np.testing.assert_allclose(to_numpy(value), expected[name], atol=1e-3)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="about PyTorch's export")
def test_a_loop_of_too_many_steps_is_refused_by_torch(detector):
    import torch

    options = DetectionOptions(class_agnostic_nms=True, max_detections_per_class=2)
    graph = detector.inference_model(options)
    assert to_numpy(graph(IMAGE)["num_detections"])[0] > 0
    with pytest.raises(ValueError, match="cannot have both `class_agnostic_nms` and"):
        torch.export.export(graph, (torch.tensor(IMAGE),), strict=False)
