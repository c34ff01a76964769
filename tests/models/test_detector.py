"""`YOLOXDetector`: raw outputs, detections, training, and its presets."""

import keras
import numpy as np
import pytest
from PIL import Image

from cspdarknet.detections import DetectionOptions
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from support import SMALL, assert_same_weights, needs_channels_first, randomize, to_numpy

NAMES = ["cat", "dog", "owl"]
BACKBONE = ("use_depthwise", "data_format", "dtype")


def build(**changes):
    """A small detector whose weights all matter."""
    settings = {key: changes.pop(key) for key in BACKBONE if key in changes}
    backbone = CSPDarkNetBackbone(**SMALL, padding="symmetric", include_rescaling=False, **settings)
    arguments = {"class_names": NAMES, "image_size": 64, "score_threshold": 0.3, **changes}
    return randomize(YOLOXDetector(backbone, num_classes=3, **arguments))


@pytest.fixture(scope="module")
def detector():
    return build()


@pytest.fixture(scope="module")
def images():
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (*size, 3), "uint8") for size in ((48, 64), (100, 30), (1, 1))]


# Raw outputs.


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


def test_outputs_have_one_row_for_each_anchor_point(detector):
    outputs = detector(np.zeros((2, 64, 96, 3), "float32"))
    anchors = 8 * 12 + 4 * 6 + 2 * 3
    shapes = {name: tuple(value.shape) for name, value in outputs.items()}
    assert shapes == {
        "boxes": (2, anchors, 4),
        "objectness": (2, anchors, 1),
        "classes": (2, anchors, 3),
    }


@pytest.mark.one_backend
def test_it_is_made_of_standard_layers(detector):
    assert {type(layer).__module__.split(".")[0] for layer in detector.layers} == {"keras"}
    assert not any(isinstance(layer, keras.layers.Lambda) for layer in detector.layers)


@pytest.mark.parametrize("size", [(64, 70), (33, 64)])
def test_the_size_of_a_call_is_a_multiple_of_the_stride(detector, size):
    with pytest.raises(ValueError, match="multiples of 32"):
        detector(np.zeros((1, *size, 3), "float32"))


@needs_channels_first
def test_channels_first_computes_the_same(detector, images):
    other = build(data_format="channels_first")
    batch = np.random.default_rng(0).uniform(0, 255, (1, 64, 64, 3)).astype("float32")
    outputs = other(batch.transpose(0, 3, 1, 2))
    for name, expected in detector(batch).items():
        np.testing.assert_allclose(to_numpy(outputs[name]), to_numpy(expected), atol=1e-4)
    detections = other.predict(images[:1])
    for name, expected in detector.predict(images[:1]).items():
        np.testing.assert_allclose(detections[name], expected, atol=1e-2)


@pytest.mark.one_backend
def test_outputs_are_float32_under_mixed_precision():
    outputs = build(dtype="mixed_bfloat16")(np.zeros((1, 64, 64, 3), "float32"))
    assert {keras.backend.standardize_dtype(x.dtype) for x in outputs.values()} == {"float32"}


# Detections.


@pytest.mark.one_backend
def test_images_of_any_size(detector, images):
    outputs = detector.predict(images, batch_size=2)
    assert outputs["boxes"].shape == (3, 100, 4)
    assert outputs["boxes"].dtype == np.float32
    assert outputs["classes"].dtype == outputs["num_detections"].dtype == np.int32
    assert (outputs["num_detections"] > 0).all()
    for i, image in enumerate(images):
        alone = detector.predict([image])
        assert alone["num_detections"][0] == outputs["num_detections"][i]
        np.testing.assert_allclose(alone["boxes"][0], outputs["boxes"][i], rtol=1e-4, atol=1e-3)


@pytest.mark.one_backend
def test_one_image_is_a_batch_of_one(detector, images, tmp_path):
    Image.fromarray(images[0].astype("uint8")).save(tmp_path / "a.png")
    expected = detector.predict(images[:1])
    for x in (images[0], tmp_path / "a.png", [str(tmp_path / "a.png")]):
        for name, values in detector.predict(x).items():
            np.testing.assert_array_equal(values, expected[name])


def test_an_iterable_of_batches(detector, images):
    batch = np.stack([images[0]] * 3)
    expected = detector.predict(batch)
    outputs = detector.predict(iter([(batch[:2], None), (batch[2:], None)]))
    np.testing.assert_allclose(outputs["boxes"], expected["boxes"], atol=1e-3)
    assert len(detector.predict(batch, batch_size=2, steps=1)["boxes"]) == 2


@pytest.mark.one_backend
def test_no_images(detector):
    outputs = detector.predict([])
    assert {name: (value.shape, str(value.dtype)) for name, value in outputs.items()} == {
        "boxes": ((0, 100, 4), "float32"),
        "confidence": ((0, 100), "float32"),
        "classes": ((0, 100), "int32"),
        "num_detections": ((0,), "int32"),
    }


@pytest.mark.one_backend
def test_no_detections(detector, images):
    outputs = detector.predict(images, options=DetectionOptions(score_threshold=1.0))
    assert (outputs["num_detections"] == 0).all()
    for name in ("boxes", "confidence", "classes"):
        assert (outputs[name] == -1).all()


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"options": DetectionOptions(image_size=100)}, "multiple of 32"),
        ({"options": {"score_threshold": 0.5}}, "`options` must be DetectionOptions"),
        ({"batch_size": 0}, "`batch_size` must be an integer, at least 1"),
        ({"callbacks": [1]}, "no callbacks"),
    ],
)
def test_bad_arguments_of_predict(detector, images, arguments, message):
    with pytest.raises(ValueError, match=message):
        detector.predict(images, **arguments)


@pytest.mark.one_backend
def test_options_override_the_models_own(detector, images):
    default = detector.predict(images[:1])
    few = detector.predict(images[:1], options=DetectionOptions(max_detections=2))
    np.testing.assert_allclose(few["boxes"], default["boxes"][:, :2], atol=1e-3)
    confident = detector.predict(images[:1], options=DetectionOptions(score_threshold=0.6))
    count = confident["num_detections"][0]
    assert 0 < count < default["num_detections"][0]
    assert (confident["confidence"][0, :count] >= 0.6).all()
    larger = detector.predict(images[:1], options=DetectionOptions(image_size=96))
    assert not np.allclose(larger["boxes"][0, 0], default["boxes"][0, 0])


@pytest.mark.one_backend
def test_box_formats(images):
    """Each format has the boxes of each image, relative ones by that image's own size."""
    detector = build()
    boxes = detector.predict(images[:2])["boxes"]
    used = (boxes != -1).any(axis=-1)
    for name in ("xywh", "rel_yxyx"):
        detector.bounding_box_format = name
        outputs = detector.predict(images[:2])["boxes"]
        assert (outputs[~used] == -1).all()
        for i in range(2):
            height, width = images[i].shape[:2]
            back = keras.utils.bounding_boxes.convert_format(
                outputs[i][used[i]], name, "xyxy", height=height, width=width
            )
            np.testing.assert_allclose(to_numpy(back), boxes[i][used[i]], atol=1e-2)


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
    losses = detector.evaluate(images, targets, verbose=0, return_dict=True)
    assert np.isfinite(losses["loss"])


def loss_of(detector, images, targets, weights=None):
    detector.reset_metrics()
    losses = detector.test_on_batch(images, targets, weights, return_dict=True)
    return {name: float(value) for name, value in losses.items()}


@pytest.fixture(scope="module")
def compiled():
    detector = build()
    detector.compile("sgd")
    return detector


@pytest.mark.one_backend
def test_box_formats_of_targets_mean_the_same(compiled):
    images, targets = data()
    expected = loss_of(compiled, images, targets)
    for name in ("xywh", "rel_yxyx"):
        other = build(bounding_box_format=name)
        other.compile("sgd")
        boxes = keras.utils.bounding_boxes.convert_format(
            targets["boxes"], "xyxy", name, height=64, width=64
        )
        losses = loss_of(other, images, {**targets, "boxes": to_numpy(boxes)})
        assert losses == pytest.approx(expected, rel=1e-4)


def test_padding_does_not_count(compiled):
    images, targets = data()
    moved = {**targets, "boxes": targets["boxes"].copy()}
    moved["boxes"][:, 3:] = 1e6
    assert loss_of(compiled, images, moved) == loss_of(compiled, images, targets)


def test_images_without_objects(compiled):
    images, targets = data()
    nothing = {"boxes": targets["boxes"], "classes": np.full_like(targets["classes"], -1)}
    losses = loss_of(compiled, images, nothing)
    assert losses["box_loss"] == losses["class_loss"] == 0
    assert losses["objectness_loss"] > 0
    empty = {"boxes": np.zeros((4, 0, 4), "float32"), "classes": np.zeros((4, 0), "float32")}
    assert loss_of(compiled, images, empty) == pytest.approx(losses)


def test_an_image_of_weight_0_does_not_count(compiled):
    images, targets = data()
    other = {name: value.copy() for name, value in targets.items()}
    other["classes"][1] = (other["classes"][1] + 1) % 3
    weights = np.array([1, 0, 1, 1], "float32")
    expected = loss_of(compiled, images, targets, weights)
    assert loss_of(compiled, images, other, weights) == pytest.approx(expected)
    assert loss_of(compiled, images, targets) != pytest.approx(expected)


def test_bad_targets(compiled):
    images, targets = data()
    with pytest.raises(ValueError, match="less than 3"):
        compiled.test_on_batch(images, {**targets, "classes": np.full((4, 5), 3.0)})
    with pytest.raises(ValueError, match="dict of 'boxes'"):
        compiled.test_on_batch(images, targets["boxes"])
    with pytest.raises(ValueError, match="finite numbers"):
        compiled.train_on_batch(np.full_like(images, np.nan), targets)
    for method in (compiled.fit, compiled.evaluate):
        with pytest.raises(ValueError, match="finite numbers"):
            method(np.full_like(images, np.nan), targets)


@pytest.mark.one_backend
def test_sample_weights_of_arrays(compiled):
    images, targets = data()
    weights = np.array([1, 0, 1, 1], "float32")
    losses = compiled.evaluate(
        images, targets, sample_weight=weights, batch_size=4, verbose=0, return_dict=True
    )
    assert losses["loss"] == pytest.approx(loss_of(compiled, images, targets, weights)["loss"])


@pytest.mark.one_backend
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
    assert detector.train_function is None  # a compiled step has the old value as a constant
    detector.reset_metrics()
    more = detector.train_on_batch(images, targets, return_dict=True)
    assert float(plain["l1_loss"]) == 0 < float(more["l1_loss"])


# Presets.


@pytest.fixture(scope="module")
def preset(detector, tmp_path_factory):
    path = tmp_path_factory.mktemp("presets") / "detector"
    detector.save_to_preset(path)
    return path


@pytest.mark.one_backend
def test_other_classes_keep_all_but_the_class_predictions(preset, detector):
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
    for i, model in enumerate((detector.backbone, ImageClassifier(detector.backbone, 2))):
        model.save_to_preset(tmp_path / str(i))
        again = YOLOXDetector.from_preset(tmp_path / str(i), num_classes=3)
        assert_same_weights(again.backbone, detector.backbone)
    with pytest.raises(ValueError, match="pass `num_classes`"):
        YOLOXDetector.from_preset("csp_darknet_tiny")


@pytest.mark.one_backend
def test_arguments_that_the_weights_depend_on_are_refused(preset):
    for change in ({"neck_depth": 3}, {"head_channels": 8}, {"use_depthwise": True}):
        with pytest.raises(ValueError, match="are invalid"):
            YOLOXDetector.from_preset(preset, **change)
    assert YOLOXDetector.from_preset(preset, load_weights=False, neck_depth=3).neck_depth == 3


@pytest.mark.one_backend
def test_the_defaults_of_the_architecture_are_those_of_the_preset(preset, detector):
    again = YOLOXDetector.from_preset(preset, neck_depth=None, head_channels=None)
    assert_same_weights(again, detector)


@pytest.mark.one_backend
def test_a_subclass_loads_itself(preset):
    class Mine(YOLOXDetector):
        pass

    assert type(Mine.from_preset(preset)) is Mine


@pytest.mark.one_backend
def test_other_arguments_override_the_presets(preset):
    other = YOLOXDetector.from_preset(preset, image_size=96, bounding_box_format="xywh")
    assert (other.image_size, other.bounding_box_format) == (96, "xywh")
