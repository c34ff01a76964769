"""`YOLOXDetector`: what it takes, what it returns, and that it comes back from every file."""

import json
from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from cspdarknet import checkpoints
from cspdarknet.cli import app
from cspdarknet.conversion.verify import verify
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.yolox.postprocess import NonMaxSuppression
from support import (
    SMALL,
    assert_same_weights,
    needs_channels_first,
    randomize,
    run_python,
    to_numpy,
)

NAMES = ["cat", "dog", "owl"]
BACKBONE = ("use_depthwise", "data_format", "dtype", "stackwise_channels", "stackwise_depth")


def build(**changes):
    """A small detector whose weights all matter."""
    given = {"padding": "symmetric", "include_rescaling": False}
    own = {key: changes.pop(key) for key in list(changes) if key in given or key in BACKBONE}
    backbone = CSPDarkNetBackbone(**{**SMALL, **given, **own})
    arguments = {"class_names": NAMES, "image_size": 64, "score_threshold": 0.3, **changes}
    return randomize(YOLOXDetector(backbone, num_classes=3, **arguments))


@pytest.fixture(scope="module")
def detector():
    return build()


@pytest.fixture(scope="module")
def photos():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), "uint8") for size in ((48, 64), (100, 30), (1, 1))]


# What it is.


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("size", "learnable"),
    [("nano", 912_159), ("tiny", 5_055_855), ("s", 8_968_255), ("m", 25_326_495)],
)
def test_published_parameter_counts(size, learnable):
    detector = YOLOXDetector.from_preset(f"yolox_{size}_coco", load_weights=False)
    count = sum(int(np.prod(v.shape)) for v in detector.trainable_variables)
    assert count == learnable
    assert detector.image_size == (416 if size in ("nano", "tiny") else 640)
    assert len(detector.class_names) == 80


def test_outputs_have_a_row_for_each_place(detector):
    found = detector(np.zeros((2, 64, 96, 3), "float32"))
    places = 8 * 12 + 4 * 6 + 2 * 3
    shapes = {name: tuple(value.shape) for name, value in found.items()}
    assert shapes == {
        "boxes": (2, places, 4),
        "objectness": (2, places, 1),
        "classes": (2, places, 3),
    }


@pytest.mark.one_backend
def test_it_is_made_of_standard_layers(detector):
    assert {type(layer).__module__.split(".")[0] for layer in detector.layers} == {"keras"}
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in detector.layers)


def test_a_new_head_expects_few_objects():
    detector = YOLOXDetector(CSPDarkNetBackbone(**SMALL, include_rescaling=True), 3)
    found = detector(np.full((1, 64, 64, 3), 127, "float32"))
    assert float(keras.ops.mean(keras.ops.sigmoid(found["objectness"]))) < 0.03


@pytest.mark.parametrize("size", [(64, 70), (33, 64)])
def test_a_call_needs_whole_strides(detector, size):
    with pytest.raises(ValueError, match="multiples of 32"):
        detector(np.zeros((1, *size, 3), "float32"))


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 0}, "`num_classes` must be an integer, at least 1"),
        ({"num_classes": 2.5}, "`num_classes`"),
        ({"backbone": "tiny"}, "`backbone` must be a CSPDarkNetBackbone with 3 stages"),
        ({"class_names": ["a"]}, "`class_names` must be a list of 3"),
        ({"image_size": 100}, "`image_size` must be a multiple of 32"),
        ({"score_threshold": 1.5}, "`score_threshold` must be a number in 0..1"),
        ({"iou_threshold": float("nan")}, "`iou_threshold`"),
        ({"max_detections": 0}, "`max_detections`"),
        ({"bounding_box_format": "polygon"}, "must be one of xyxy, yxyx"),
        ({"neck_depth": -1}, "`neck_depth`"),
        ({"head_width": 3}, "Unrecognized keyword arguments: head_width"),
    ],
)
def test_bad_arguments(arguments, message):
    given = {"backbone": CSPDarkNetBackbone(**SMALL, include_rescaling=True), "num_classes": 3}
    with pytest.raises(ValueError, match=message):
        YOLOXDetector(**{**given, **arguments})


@pytest.mark.one_backend
def test_a_backbone_of_two_stages_is_too_few(tiny_net):
    with pytest.raises(ValueError, match="3 stages or more"):
        YOLOXDetector(tiny_net, 3)


@needs_channels_first
def test_channels_first_computes_the_same(detector):
    other = build(data_format="channels_first")
    images = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    found, expected = other(images.transpose(0, 3, 1, 2)), detector(images)
    for name, value in expected.items():
        np.testing.assert_allclose(to_numpy(found[name]), to_numpy(value), atol=1e-4)
    photo = images[0].astype("uint8")
    for name, value in detector.predict([photo]).items():
        np.testing.assert_allclose(other.predict([photo])[name], value, atol=1e-2)


def test_mixed_precision_predicts_in_float32():
    detector = build(dtype="mixed_bfloat16")
    found = detector(np.zeros((1, 64, 64, 3), "float32"))
    assert {str(keras.backend.standardize_dtype(v.dtype)) for v in found.values()} == {"float32"}


# What it finds.


@pytest.mark.one_backend
def test_photos_of_any_sizes(detector, photos):
    found = detector.predict(photos, batch_size=2)
    assert found["boxes"].shape == (3, 100, 4)
    assert found["boxes"].dtype == np.float32
    assert found["classes"].dtype == found["num_detections"].dtype == np.int32
    assert (found["num_detections"] > 0).all()
    for i, photo in enumerate(photos):
        alone = detector.predict([photo])
        assert alone["num_detections"][0] == found["num_detections"][i]
        np.testing.assert_allclose(alone["boxes"][0], found["boxes"][i], rtol=1e-4, atol=1e-3)


@pytest.mark.one_backend
def test_every_way_to_give_photos(detector, photos):
    expected = detector.predict([photos[0]] * 3)
    batch = np.stack([photos[0]] * 3)
    ways = [
        batch,
        batch.astype("float32"),
        keras.ops.convert_to_tensor(batch.astype("float32")),
        iter([batch[:2], batch[2:]]),
        [(batch, {"boxes": 0})],
        [[batch[0], batch[1]], [batch[2]]],
        UnknownLength([batch]),
        [batch[0].tolist(), *batch[1:]],
    ]
    for way in ways:
        found = detector.predict(way)
        np.testing.assert_allclose(found["boxes"], expected["boxes"], atol=1e-3)
    assert len(detector.predict([batch[:2], batch[2:]], steps=1)["boxes"]) == 2
    assert len(detector.predict(batch, batch_size=2, steps=1)["boxes"]) == 2


class UnknownLength(list):
    """As data sets that stream are."""

    def __len__(self):
        raise TypeError("unknown")


@pytest.mark.one_backend
def test_nothing_to_look_at(detector):
    found = detector.predict([])
    assert {name: value.shape for name, value in found.items()} == {
        "boxes": (0, 100, 4),
        "confidence": (0, 100),
        "classes": (0, 100),
        "num_detections": (0,),
    }


@pytest.mark.one_backend
def test_nothing_to_find(detector, photos):
    found = detector.predict(photos, score_threshold=1.0)
    assert (found["num_detections"] == 0).all()
    for name in ("boxes", "confidence", "classes"):
        assert (found[name] == -1).all()


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("photo", "message"),
    [
        (np.zeros((10, 10)), r"\(height, width, 3\)"),
        (np.zeros((10, 10, 4)), r"\(height, width, 3\)"),
        (np.zeros((0, 10, 3)), r"\(height, width, 3\)"),
        (np.full((10, 10, 3), np.nan), "finite numbers.*NaN"),
        (np.full((10, 10, 3), 60_000, "uint16"), "0..255. Received: 60000 to 60000"),
        (np.full((10, 10, 3), -300), "0..255. Received: -300"),
        (np.full((10, 10, 3), "x"), "finite numbers"),
    ],
)
def test_bad_photos(detector, photo, message):
    with pytest.raises(ValueError, match=message):
        detector.predict([photo])


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"image_size": 100}, "multiple of 32"),
        ({"score_threshold": -1}, "score_threshold"),
        ({"max_detections": 0}, "max_detections"),
        ({"batch_size": 0}, "batch_size"),
        ({"callbacks": [1]}, "no callbacks"),
    ],
)
def test_bad_settings(detector, photos, settings, message):
    with pytest.raises(ValueError, match=message):
        detector.predict(photos, **settings)


@pytest.mark.one_backend
def test_a_photo_of_0_to_1_is_warned_about(detector):
    with pytest.warns(UserWarning, match="all but black"):
        detector.predict([np.full((10, 10, 3), 0.5)])


@pytest.mark.one_backend
def test_boxes_are_computed_in_float32_under_any_policy(photos):
    exact = build().predict([photos[0]])
    keras.config.set_dtype_policy("mixed_float16")
    half = build(dtype="float32").predict([photos[0]])
    np.testing.assert_allclose(half["boxes"], exact["boxes"], atol=1e-3)
    large = np.array([[[0, 0, 390, 390], [1, 0, 390, 391], [0, 1, 391, 390]]], "float32")
    graph = build(dtype="float32").inference_model()
    assert graph.get_layer("suppress").compute_dtype == "float32"
    found = graph.get_layer("suppress")(large, np.array([[[0.9], [0.8], [0.7]]], "float32"))
    assert to_numpy(found["num_detections"]) == [1]


@pytest.mark.one_backend
def test_settings_take_the_place_of_the_models(detector, photos):
    few = detector.predict(photos[:1], max_detections=2)
    all_of_them = detector.predict(photos[:1])
    np.testing.assert_allclose(few["boxes"], all_of_them["boxes"][:, :2], atol=1e-3)
    sure = detector.predict(photos[:1], score_threshold=0.6)
    assert 0 < sure["num_detections"][0] < all_of_them["num_detections"][0]
    assert (sure["confidence"][0, : sure["num_detections"][0]] >= 0.6).all()
    larger = detector.predict(photos[:1], image_size=96)
    assert not np.allclose(larger["boxes"][0, 0], all_of_them["boxes"][0, 0])


@pytest.mark.one_backend
def test_box_formats(detector, photos):
    """Each format says the same of each photo, in that photo's own size."""
    boxes = detector.predict(photos[:2])["boxes"]
    used = (boxes != -1).any(axis=-1)
    for name in ("xywh", "rel_xyxy", "center_xywh", "rel_yxyx"):
        detector.bounding_box_format = name
        found = detector.predict(photos[:2])["boxes"]
        assert (found[~used] == -1).all()
        for i in range(2):
            height, width = photos[i].shape[:2]
            back = keras.utils.bounding_boxes.convert_format(
                found[i][used[i]], name, "xyxy", height=height, width=width
            )
            np.testing.assert_allclose(to_numpy(back), boxes[i][used[i]], atol=1e-2)
    detector.bounding_box_format = "xyxy"


def greedy(boxes, scores, score_threshold, iou_threshold):
    """Non-maximum suppression as one would write it down."""
    classes, best = scores.argmax(axis=1), scores.max(axis=1)
    kept = []
    for i in sorted(np.flatnonzero(best >= score_threshold), key=lambda i: -best[i]):
        for j in kept:
            if classes[i] == classes[j]:
                left, right = (
                    np.maximum(boxes[i, :2], boxes[j, :2]),
                    np.minimum(boxes[i, 2:], boxes[j, 2:]),
                )
                overlap = np.prod(np.maximum(right - left, 0))
                areas = [np.prod(boxes[k, 2:] - boxes[k, :2]) for k in (i, j)]
                if overlap / (sum(areas) - overlap) > iou_threshold:
                    break
        else:
            kept.append(i)
    return kept


@pytest.mark.parametrize("seed", range(5))
def test_suppression_is_the_greedy_one(seed):
    rng = np.random.default_rng(seed)
    corners = rng.uniform(0, 60, (2, 200, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(5, 60, (2, 200, 2))], axis=-1)
    scores = rng.uniform(0, 1, (2, 200, 3))
    layer = NonMaxSuppression(0.4, 0.5, 60)
    found = layer(boxes.astype("float32"), scores.astype("float32"))
    found = {name: to_numpy(value) for name, value in found.items()}
    for i in range(2):
        kept = greedy(boxes[i], scores[i], 0.4, 0.5)[:60]
        assert found["num_detections"][i] == len(kept)
        np.testing.assert_allclose(found["boxes"][i, : len(kept)], boxes[i, kept], rtol=1e-6)
        np.testing.assert_array_equal(
            found["classes"][i, : len(kept)], scores[i, kept].argmax(axis=1)
        )
        np.testing.assert_allclose(
            found["confidence"][i, : len(kept)], scores[i, kept].max(axis=1), rtol=1e-6
        )


@pytest.mark.one_backend
def test_the_whole_graph_is_saved_with_photos_of_any_size(detector, photos, tmp_path):
    graph = detector.inference_model(max_detections=20)
    graph.save(tmp_path / "whole.keras")
    restored = keras.saving.load_model(tmp_path / "whole.keras")
    for photo in photos:
        batch = photo[None].astype("float32")
        expected = graph.predict_on_batch(batch)
        for name, value in restored.predict_on_batch(batch).items():
            np.testing.assert_allclose(value, expected[name], atol=1e-4)


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="about PyTorch's export")
def test_the_whole_graph_is_exported_by_torch(detector, photos):
    import torch

    graph = detector.inference_model(max_detections=20)
    batch = torch.tensor(photos[0][None].astype("float32"))
    expected = {name: to_numpy(value) for name, value in graph(batch).items()}
    assert expected["num_detections"][0] > 1
    found = torch.export.export(graph, (batch,)).module()(batch)
    for name, value in found.items():
        np.testing.assert_allclose(to_numpy(value), expected[name], atol=1e-3)


# Training.


def data(count=4, size=64, objects=5, seed=0):
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 255, (count, size, size, 3)).astype("float32")
    corners = rng.uniform(0, size - 24, (count, objects, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(8, 24, corners.shape)], axis=-1)
    classes = rng.integers(0, 3, (count, objects)).astype("float32")
    classes[:, 3:] = -1
    return images, {"boxes": boxes.astype("float32"), "classes": classes}


def test_fit_learns():
    backbone = CSPDarkNetBackbone(
        [16, 32, 64], [1, 1, 1], include_rescaling=True, batch_norm_momentum=0.9
    )
    detector = YOLOXDetector(backbone, 3)
    detector.compile(keras.optimizers.Adam(1e-2))
    images, targets = data()
    history = detector.fit(images, targets, epochs=15, batch_size=4, verbose=0).history
    assert {"loss", "box_loss", "objectness_loss", "class_loss", "l1_loss"} <= set(history)
    assert history["loss"][-1] < 0.8 * history["loss"][0]
    assert np.isfinite(history["loss"]).all()
    assert history["l1_loss"] == [0.0] * 15
    found = detector.evaluate(images, targets, verbose=0, return_dict=True)
    assert np.isfinite(found["loss"])


def loss_of(detector, images, targets, weights=None):
    detector.reset_metrics()
    found = detector.test_on_batch(images, targets, weights, return_dict=True)
    return {name: float(value) for name, value in found.items()}


@pytest.fixture(scope="module")
def compiled():
    detector = build()
    detector.compile("sgd")
    return detector


@pytest.mark.one_backend
def test_box_formats_of_targets_mean_the_same(compiled):
    images, targets = data()
    expected = loss_of(compiled, images, targets)
    for name in ("xywh", "rel_xyxy", "center_yxhw"):
        other = build(bounding_box_format=name)
        other.compile("sgd")
        boxes = keras.utils.bounding_boxes.convert_format(
            targets["boxes"], "xyxy", name, height=64, width=64
        )
        found = loss_of(other, images, {**targets, "boxes": to_numpy(boxes)})
        assert found == pytest.approx(expected, rel=1e-4)


def test_padding_does_not_count(compiled):
    images, targets = data()
    moved = {**targets, "boxes": targets["boxes"].copy()}
    moved["boxes"][:, 3:] = 1e6
    assert loss_of(compiled, images, moved) == loss_of(compiled, images, targets)


def test_photos_without_objects(compiled):
    images, targets = data()
    nothing = {"boxes": targets["boxes"], "classes": np.full_like(targets["classes"], -1)}
    found = loss_of(compiled, images, nothing)
    assert found["box_loss"] == found["class_loss"] == 0
    assert found["objectness_loss"] > 0
    empty = {"boxes": np.zeros((4, 0, 4), "float32"), "classes": np.zeros((4, 0), "float32")}
    assert loss_of(compiled, images, empty) == pytest.approx(found)


def test_a_photo_of_weight_0_does_not_count(compiled):
    images, targets = data()
    other = {name: value.copy() for name, value in targets.items()}
    other["classes"][1] = (other["classes"][1] + 1) % 3
    weights = np.array([1, 0, 1, 1], "float32")
    expected = loss_of(compiled, images, targets, weights)
    assert loss_of(compiled, images, other, weights) == pytest.approx(expected)
    assert loss_of(compiled, images, targets) != pytest.approx(expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": np.full((4, 5), 3.0)}, "less than 3.*Received: 3"),
        ({"classes": np.zeros((4, 2))}, "Each box needs a class"),
        ({"classes": np.zeros((4, 5, 3))}, r"\(batch, objects\)"),
        ({"boxes": np.zeros((4, 5))}, r"\(batch, objects, 4\)"),
    ],
)
def test_targets_of_another_form(compiled, change, message):
    images, targets = data()
    with pytest.raises(ValueError, match=message):
        compiled.test_on_batch(images, {**targets, **change})


def test_targets_and_images_that_are_none(compiled):
    images, targets = data()
    with pytest.raises(ValueError, match="dict of 'boxes'"):
        compiled.test_on_batch(images, targets["boxes"])
    with pytest.raises(ValueError, match="no finite numbers"):
        compiled.train_on_batch(np.full_like(images, np.nan), targets)


@pytest.mark.one_backend
def test_sample_weights_of_arrays():
    detector = build()
    detector.compile("sgd")
    images, targets = data()
    weights = np.array([1, 0, 1, 1], "float32")
    found = detector.evaluate(
        images, targets, sample_weight=weights, batch_size=4, verbose=0, return_dict=True
    )
    assert found["loss"] == pytest.approx(loss_of(detector, images, targets, weights)["loss"])


def test_no_other_loss():
    detector = build()
    detector.compile("sgd", loss="mse")
    with pytest.raises(ValueError, match="without `loss`"):
        detector.train_on_batch(*data())


@pytest.mark.one_backend
def test_l1_loss_can_be_switched_after_a_step():
    detector = build()
    detector.compile(keras.optimizers.SGD(0.0))
    images, targets = data()
    plain = detector.train_on_batch(images, targets, return_dict=True)
    detector.l1_loss = True
    detector.reset_metrics()
    more = detector.train_on_batch(images, targets, return_dict=True)
    assert float(plain["l1_loss"]) == 0 < float(more["l1_loss"])


# Files.


def assert_same(a, b):
    assert_same_weights(a, b)
    configs = [json.loads(json.dumps(model.get_config())) for model in (a, b)]
    for config in configs:
        config.pop("name")
        config["backbone"]["config"].pop("name")
        config["backbone"].pop("build_config", None)
    assert configs[0] == configs[1]


@pytest.mark.parametrize(
    "use_depthwise", [False, pytest.param(True, marks=pytest.mark.one_backend)]
)
@pytest.mark.parametrize("name", ["a.keras", "preset", "a.safetensors", "a.weights.h5", "a.pth"])
def test_round_trips(name, use_depthwise, tmp_path):
    if name.endswith("safetensors"):
        pytest.importorskip("safetensors")
    detector = build(use_depthwise=use_depthwise)
    path = tmp_path / name
    checkpoints.save(detector, path)
    if name == "a.keras":
        assert_same(keras.saving.load_model(path), detector)
    elif name == "preset":
        assert_same(YOLOXDetector.from_preset(path), detector)
        assert_same(YOLOXDetector.from_preset(str(path)), detector)
    elif name == "a.weights.h5":
        other = YOLOXDetector.from_config(detector.get_config())
        checkpoints.load_weights(other, path)
        assert_same(other, detector)
    else:
        assert_same_weights(YOLOXDetector.from_preset(path), detector)


@pytest.mark.one_backend
def test_weights_of_a_compiled_detector_come_back(tmp_path):
    detector = build()
    detector.compile("adam")
    detector.train_on_batch(*data())
    detector.save_weights(tmp_path / "a.weights.h5")
    other = build()
    checkpoints.load_weights(other, tmp_path / "a.weights.h5")
    assert_same_weights(other, detector)
    detector.save(tmp_path / "a.keras")
    assert_same_weights(keras.saving.load_model(tmp_path / "a.keras"), detector)


@pytest.fixture(scope="module")
def preset(detector, tmp_path_factory):
    path = tmp_path_factory.mktemp("presets") / "detector"
    detector.save_to_preset(path)
    return path


@pytest.mark.one_backend
def test_the_backbone_of_a_detectors_preset(preset, detector):
    assert_same_weights(CSPDarkNetBackbone.from_preset(preset), detector.backbone)
    classifier = ImageClassifier.from_preset(preset, num_classes=4)
    assert_same_weights(classifier.backbone, detector.backbone)


@pytest.mark.one_backend
def test_other_classes_keep_all_but_what_tells_them(preset, detector):
    other = YOLOXDetector.from_preset(preset, num_classes=5)
    assert other.class_names is None
    for layer in detector.layers:
        for a, b in zip(
            layer.get_weights(), other.get_layer(layer.name).get_weights(), strict=True
        ):
            if layer.name.endswith("_classes"):
                assert b.shape[-1] == 5
            else:
                np.testing.assert_array_equal(a, b)


@pytest.mark.one_backend
def test_a_detector_on_the_preset_of_a_backbone_or_classifier(tmp_path, detector):
    checkpoints.save(detector.backbone, tmp_path / "backbone")
    found = YOLOXDetector.from_preset(tmp_path / "backbone", num_classes=3)
    assert_same_weights(found.backbone, detector.backbone)
    garments = YOLOXDetector.from_preset("csp_darknet_tiny_clothing", num_classes=3)
    expected = CSPDarkNetBackbone.from_preset("csp_darknet_tiny_clothing")
    assert_same_weights(garments.backbone, expected)
    with pytest.raises(ValueError, match="pass `num_classes`"):
        YOLOXDetector.from_preset("csp_darknet_tiny")


@pytest.mark.one_backend
def test_what_would_change_the_weights_is_refused(preset):
    for change in ({"neck_depth": 3}, {"head_channels": 8}, {"use_depthwise": True}):
        with pytest.raises(ValueError, match="mean nothing"):
            YOLOXDetector.from_preset(preset, **change)
    assert YOLOXDetector.from_preset(preset, load_weights=False, neck_depth=3).neck_depth == 3


@pytest.mark.one_backend
def test_settings_of_a_preset_can_be_others(preset):
    other = YOLOXDetector.from_preset(preset, image_size=96, bounding_box_format="xywh")
    assert (other.image_size, other.bounding_box_format) == (96, "xywh")


@pytest.mark.one_backend
def test_a_file_without_a_detector(tmp_path, detector):
    checkpoints.save(detector.backbone, tmp_path / "backbone.pth")
    with pytest.raises(ValueError, match="weights are missing"):
        checkpoints.load_weights(detector, tmp_path / "backbone.pth")
    with pytest.raises(ValueError, match="pass `num_classes`"):
        YOLOXDetector.from_preset(tmp_path / "backbone.pth")


@pytest.mark.one_backend
def test_official_weights_are_read_by_torch_without_unpickling(tmp_path, detector):
    torch = pytest.importorskip("torch")
    checkpoints.save(detector, tmp_path / "a.pth")
    found = torch.load(tmp_path / "a.pth", weights_only=True)
    assert found["head.cls_preds.0.weight"].shape == (3, 32, 1, 1)
    assert {name.split(".")[0] for name in found} == {"backbone", "head"}


def test_a_saved_detector_is_loaded_by_a_fresh_process(preset):
    code = (
        "import sys, numpy as np; from cspdarknet.models import YOLOXDetector\n"
        "found = YOLOXDetector.from_preset(sys.argv[1]).predict([np.ones((9, 9, 3), 'uint8')])\n"
        "print(found['boxes'].shape)"
    )
    assert "(1, 100, 4)" in run_python(code, Path(preset)).stdout


@pytest.mark.one_backend
def test_a_whole_detector_is_converted_and_verified(tmp_path, detector):
    checkpoints.save(detector, tmp_path / "a.pth")
    for options, kind in (([], CSPDarkNetBackbone), (["--detector"], YOLOXDetector)):
        out = tmp_path / kind.__name__
        result = CliRunner().invoke(app, ["convert", str(tmp_path / "a.pth"), str(out), *options])
        assert result.exit_code == 0, result.output
        assert isinstance(checkpoints.load(out), kind)
        checks = verify(checkpoints.load(out), out)
        assert all(check.passed for check in checks)
        assert len(checks) == (7 if options else 4)
