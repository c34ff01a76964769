"""The backbone under heads of KerasHub and KerasCV: they build, train and are saved.

`make heads` runs these tests. The two packages are not extras: they ask for TensorFlow and its
datasets, which this package does not need.
"""

import keras
import numpy as np
import pytest

from cspdarknet.models import CSPDarkNetBackbone
from support import to_numpy

SIDE = 64
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, SIDE, SIDE, 3)).astype("float32")
BOXES = {
    "boxes": np.array([[[4, 4, 24, 24]], [[8, 8, 40, 32]]], "float32"),
    "classes": np.array([[0], [1]], "float32"),
}
MASKS = (IMAGES[..., :1] > 128).astype("float32")
WITHOUT = "the heads of {} are tried where it is installed: run `make heads`"


@pytest.fixture(params=["yolox", "cs3sedarknet"])
def backbone(request):
    return CSPDarkNetBackbone(
        [8, 8, 16, 24],
        [1, 1, 1, 1],
        include_rescaling=True,
        input_shape=(SIDE, SIDE, 3),
        topology=request.param,
    )


@pytest.fixture
def keras_hub():
    return pytest.importorskip("keras_hub", reason=WITHOUT.format("KerasHub"))


@pytest.fixture
def keras_cv():
    return pytest.importorskip("keras_cv", reason=WITHOUT.format("KerasCV"))


def outputs(model):
    return [to_numpy(value) for value in keras.tree.flatten(model(IMAGES, training=False))]


def assert_saved_models_are_the_same(model, folder):
    model.save(folder / "model.keras")
    again = keras.saving.load_model(folder / "model.keras")
    for value, expected in zip(outputs(again), outputs(model), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-4, atol=1e-5)


def assert_trains(model, backbone, targets, **losses):
    """Check that a step changes the first kernel of the backbone."""
    model.compile(optimizer=keras.optimizers.SGD(0.1), jit_compile=False, **losses)
    kernel = backbone.trainable_variables[0]
    before = to_numpy(kernel).copy()
    history = model.fit(IMAGES, targets, batch_size=2, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert (to_numpy(kernel) != before).any()


class TestKerasHub:
    def test_retinanet(self, keras_hub, backbone, tmp_path):
        pyramid = keras_hub.models.RetinaNetBackbone(
            image_encoder=backbone,
            min_level=3,
            max_level=7,
            use_p5=False,
            image_shape=(SIDE, SIDE, 3),
        )
        assert {level: value.shape[1] for level, value in pyramid(IMAGES).items()} == {
            "P3": 8,
            "P4": 4,
            "P5": 2,
            "P6": 1,
            "P7": 1,
        }
        assert_saved_models_are_the_same(pyramid, tmp_path)

    def test_deeplab(self, keras_hub, backbone, tmp_path):
        encoder = keras_hub.models.DeepLabV3Backbone(
            image_encoder=backbone,
            low_level_feature_key="P2",
            spatial_pyramid_pooling_key="P5",
            upsampling_size=8,
            dilation_rates=[1, 2, 3],
            image_shape=(SIDE, SIDE, 3),
        )
        model = keras_hub.models.DeepLabV3ImageSegmenter(backbone=encoder, num_classes=2)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        assert_trains(model, backbone, MASKS, loss=loss)
        assert outputs(model)[0].shape == (2, SIDE, SIDE, 2)
        assert_saved_models_are_the_same(model, tmp_path)

    def test_classifier(self, keras_hub, backbone, tmp_path):
        model = keras_hub.models.ImageClassifier(backbone=backbone, num_classes=3)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        assert_trains(model, backbone, np.array([0, 2]), loss=loss)
        assert_saved_models_are_the_same(model, tmp_path)


class TestKerasCV:
    def test_yolov8(self, keras_cv, backbone):
        model = keras_cv.models.YOLOV8Detector(
            num_classes=3, bounding_box_format="xyxy", backbone=backbone, fpn_depth=1
        )
        losses = {"box_loss": "ciou", "classification_loss": "binary_crossentropy"}
        assert_trains(model, backbone, BOXES, **losses)
        assert model(IMAGES)["boxes"].shape == (2, 84, 64)

    def test_retinanet(self, keras_cv, backbone):
        model = keras_cv.models.RetinaNet(
            num_classes=3, bounding_box_format="xyxy", backbone=backbone
        )
        assert_trains(model, backbone, BOXES, box_loss="smoothl1", classification_loss="focal")
        assert model(IMAGES)["box"].shape == (2, 774, 4)

    def test_deeplab(self, keras_cv, backbone, tmp_path):
        model = keras_cv.models.DeepLabV3Plus(backbone=backbone, num_classes=2)
        # KerasCV's head does not train on PyTorch, on its own backbones neither.
        if keras.backend.backend() != "torch":
            assert_trains(model, backbone, MASKS, loss="sparse_categorical_crossentropy")
        assert outputs(model)[0].shape == (2, SIDE, SIDE, 2)
        assert_saved_models_are_the_same(model, tmp_path)
