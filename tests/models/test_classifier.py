"""`ImageClassifier`: arguments, what it computes, training, and how it is saved."""

import copy
import json
import pickle

import keras
import numpy as np
import pytest

from cspdarknet import ImageClassifier
from cspdarknet.models import CSPDarkNetBackbone
from support import (
    TINY_NET,
    assert_same_weights,
    needs_channels_first,
    randomize,
    relative_error,
    run_python,
    to_numpy,
)

NAMES = ["cat", "dog", "owl"]


def backbone(**changes):
    return CSPDarkNetBackbone(**{**TINY_NET, "include_rescaling": True, **changes})


def build(num_classes=3, **changes):
    of_backbone = changes.pop("backbone", {})
    return randomize(ImageClassifier(backbone(**of_backbone), num_classes, **changes))


@pytest.fixture(scope="module")
def inner():
    return backbone()


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_classes": 0}, "at least 1"),
        ({"num_classes": True}, "num_classes=True"),
        ({"num_classes": 3.0}, "integer"),
        ({"num_classes": None}, "num_classes=None"),
        ({"num_classes": 10**12}, "at most"),
        ({"pooling": "mean"}, "'avg' or 'max'"),
        ({"pooling": None}, "'avg' or 'max'"),
        ({"pooling": ["avg"]}, "'avg' or 'max'"),
        ({"activation": "softmaxx"}, "activation='softmaxx'"),
        ({"activation": np.tanh}, "name of a Keras activation"),
        ({"activation": {"class_name": "function", "config": "system"}}, "name of a Keras"),
        ({"dropout": 1.0}, "less than 1"),
        ({"dropout": -0.1}, "less than 1"),
        ({"dropout": float("nan")}, "less than 1"),
        ({"dropout": "0.5"}, "must be a number"),
        ({"dropout": True}, "must be a number"),
        ({"class_names": ["a", "b"]}, "3 different strings.*2 names"),
        ({"class_names": ["a", "b", "a"]}, "Received: 'a'"),
        ({"class_names": ["a", "b", 3]}, "Received: 3"),
        ({"class_names": ["a", "b", ""]}, "Received: ''"),
        ({"class_names": "abc"}, "class_names='abc'"),
        ({"class_names": 3}, "class_names=3"),
        ({"image_size": 0}, "image_size=0"),
        ({"image_size": (96, 96)}, "image_size"),
        ({"dtype": "int8"}, "float dtype"),
        ({"trainable": "no"}, "True or False"),
        ({"clases": 3, "input_shape": (32, 32, 3)}, "clases, input_shape"),
    ],
)
def test_bad_arguments(changes, message, inner):
    with pytest.raises(ValueError, match=message):
        ImageClassifier(inner, **{"num_classes": 3, **changes})


@pytest.mark.one_backend
@pytest.mark.parametrize(
    "wrong",
    [
        lambda: None,
        lambda: "csp_darknet_tiny",
        lambda: CSPDarkNetBackbone,
        lambda: keras.layers.Conv2D(3, 1),
        lambda: keras.Sequential([keras.layers.Conv2D(3, 1)]),  # not built
        lambda: keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten()]),
        lambda: keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]),
        lambda: backbone().feature_pyramid(["P2", "P3"]),
        lambda: build(),
    ],
)
def test_bad_backbones(wrong):
    with pytest.raises(ValueError, match="`backbone` must be a CSPDarkNetBackbone"):
        ImageClassifier(wrong(), 3)


class TestOutputs:
    @pytest.mark.one_backend
    def test_layers(self):
        inner = backbone(name="net")
        model = ImageClassifier(inner, 3)
        names = [layer.name for layer in model.layers]
        assert names == ["images", "net", "avg_pool", "predictions"]
        assert model.backbone is inner is model.layers[1]
        names = [layer.name for layer in build(pooling="max", dropout=0.5).layers]
        assert names[2:] == ["max_pool", "dropout", "predictions"]

    @pytest.mark.one_backend
    def test_attributes(self):
        names = ("num_classes", "pooling", "activation", "dropout", "class_names", "image_size")
        plain = build()
        assert [getattr(plain, name) for name in names] == [3, "avg", "softmax", 0, None, None]
        model = build(
            np.int64(3),
            activation=keras.activations.sigmoid,
            dropout=0.25,
            class_names=tuple(NAMES),
            image_size=np.int32(96),
        )
        assert [getattr(model, name) for name in names[2:]] == ["sigmoid", 0.25, tuple(NAMES), 96]

    @pytest.mark.parametrize(("pooling", "pool"), [("avg", np.mean), ("max", np.max)])
    def test_pooling_then_one_dense_layer(self, pooling, pool, photo):
        model = build(pooling=pooling, activation=None)
        vector = pool(to_numpy(model.backbone(photo)), axis=(1, 2))
        head = model.get_layer("predictions")
        expected = vector @ to_numpy(head.kernel) + to_numpy(head.bias)
        assert relative_error(model(photo), expected) <= 1e-5
        probabilities = ImageClassifier(model.backbone, 3, pooling)
        probabilities.set_weights(model.get_weights())
        exponents = np.exp(expected)
        assert relative_error(probabilities(photo), exponents / exponents.sum()) <= 1e-5

    @pytest.mark.parametrize("size", [(1, 1), (37, 53), (2, 300)])
    def test_any_size_and_integer_pixels(self, size):
        x = np.random.default_rng(0).integers(0, 256, (2, *size, 3))
        model = build()
        found = model.predict(x.astype("uint8"), verbose=0)
        assert found.shape == (2, 3)
        assert relative_error(model.predict(x.astype("float32"), verbose=0), found) <= 1e-6

    @pytest.mark.parametrize("dtype", ["mixed_float16", "bfloat16"])
    def test_the_head_is_float32_under_mixed_precision(self, dtype, photo):
        model = build(backbone={"dtype": dtype}, num_classes=50)
        assert model.dtype_policy.name == model.backbone.dtype_policy.name == dtype
        assert model.backbone.output.dtype == model.backbone.compute_dtype != "float32"
        assert model.output.dtype == model.get_layer("predictions").kernel.dtype == "float32"
        # Sums of half-precision numbers would be a hundredth away.
        assert model.predict(photo, verbose=0).sum() == pytest.approx(1, abs=1e-6)

    def test_the_head_follows_a_wider_backbone(self):
        model = build(backbone={"dtype": "float64"})
        assert model.get_layer("predictions").compute_dtype == "float64"
        assert build(dtype="float64").get_layer("predictions").compute_dtype == "float64"

    @needs_channels_first
    def test_channels_first(self, photo):
        model, first = build(), build(backbone={"data_format": "channels_first"})
        assert first.input_shape == (None, 3, None, None)
        turned = first.predict(photo.transpose(0, 3, 1, 2), verbose=0)
        assert relative_error(turned, model.predict(photo, verbose=0)) <= 1e-5

    def test_another_backbone(self):
        inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(5, 3)], name="conv")
        model = ImageClassifier(inner, 2)
        assert model(np.ones((4, 8, 8, 3))).shape == (4, 2)
        with pytest.raises(ValueError, match="with a Sequential"):
            model.save_to_preset("nowhere")

    def test_a_model_in_front_of_the_backbone(self):
        images = keras.Input((16, 16, 1), dtype="uint8", name="pixels")
        front = keras.layers.Conv2D(3, 1)(keras.layers.Rescaling(1.0)(images))
        model = build(backbone={"input_tensor": front})
        assert (model.input.name, model.input.dtype) == ("pixels", "uint8")
        assert model(np.ones((2, 16, 16, 1), "uint8")).shape == (2, 3)
        again = ImageClassifier.from_config(model.get_config())
        assert again.get_config() == model.get_config()


class TestTraining:
    def fit(self, model):
        model.compile("sgd", "sparse_categorical_crossentropy")
        x = np.random.default_rng(0).uniform(0, 255, (4, 16, 16, 3))
        before = {v.path: to_numpy(v).copy() for v in model.weights}
        model.fit(x, np.array([0, 1, 2, 0]), verbose=0)
        return {v.path for v in model.weights if not np.array_equal(before[v.path], to_numpy(v))}

    def test_freeze_through_the_backbone(self):
        model = build()
        model.backbone.freeze("P2")
        moved = self.fit(model)
        frozen = {v.path for v in model.weights if v.path.startswith(("stem", "dark2"))}
        assert moved == {v.path for v in model.weights} - frozen
        again = ImageClassifier.from_config(model.get_config())
        assert again.backbone.frozen_stages == 1

    def test_a_frozen_backbone(self):
        model = build()
        model.backbone.trainable = False
        assert self.fit(model) == {"predictions/kernel", "predictions/bias"}
        again = ImageClassifier.from_config(model.get_config())
        assert len(again.trainable_variables) == 2

    def test_dropout_acts_in_training_only(self, photo):
        model = build(dropout=0.5, activation=None)
        assert relative_error(model(photo), to_numpy(build(activation=None)(photo))) <= 1e-6
        keras.utils.set_random_seed(1)
        x = np.repeat(photo, 8, axis=0)
        found = to_numpy(model(x, training=True))
        assert len(np.unique(found[:, 0])) > 1


CONFIGS = [
    {},
    {"pooling": "max", "activation": None, "dropout": 0.5, "class_names": NAMES, "name": "mine"},
    {"backbone": {"dtype": "mixed_bfloat16", "frozen_layers": ["stem_conv_bn"]}, "image_size": 96},
    {"backbone": {"padding": "symmetric", "input_shape": (32, 32, 4)}, "trainable": False},
    {"dtype": "float64"},
]


class TestSaving:
    @pytest.mark.one_backend
    @pytest.mark.parametrize("changes", CONFIGS)
    def test_config_round_trip(self, changes):
        model = build(**changes)
        config = model.get_config()
        assert json.loads(json.dumps(config)) == config
        again = ImageClassifier.from_config(config)
        assert json.loads(json.dumps(config)) == config  # not consumed
        assert again.get_config() == config
        assert dir(again) == dir(model)
        assert again.backbone.get_config() == model.backbone.get_config()
        for name in {"class_names", "pooling", "dropout", "activation"} - {*changes}:
            assert getattr(again, name) == getattr(model, name)

    @pytest.mark.parametrize("changes", CONFIGS)
    def test_keras_file(self, changes, tmp_path):
        model = build(**changes)
        model.save(tmp_path / "m.keras")
        again = keras.saving.load_model(tmp_path / "m.keras", safe_mode=True)
        assert type(again) is ImageClassifier
        assert type(again.backbone) is CSPDarkNetBackbone
        assert again.get_config() == model.get_config()
        assert_same_weights(model, again)

    @pytest.mark.parametrize("how", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
    def test_copies(self, how):
        model = build(class_names=NAMES)
        again = how(model)
        assert_same_weights(model, again)
        assert again.class_names == tuple(NAMES)
        assert again.backbone is not model.backbone

    def test_clone_model(self, photo):
        model = build()
        clone = keras.models.clone_model(model)
        assert [layer.name for layer in clone.layers] == [layer.name for layer in model.layers]
        clone.set_weights(model.get_weights())
        assert relative_error(clone(photo), to_numpy(model(photo))) <= 1e-6

    def test_weights_file(self, tmp_path):
        model, other = build(), ImageClassifier(backbone(), 3)
        model.save_weights(tmp_path / "m.weights.h5")
        other.load_weights(tmp_path / "m.weights.h5")
        assert_same_weights(model, other)

    def test_another_backbone(self, tmp_path):
        inner = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(5, 3)])
        model = ImageClassifier(inner, 2)
        model.save(tmp_path / "m.keras")
        again = keras.saving.load_model(tmp_path / "m.keras")
        np.testing.assert_array_equal(
            to_numpy(again(np.ones((1, 8, 8, 3)))), to_numpy(model(np.ones((1, 8, 8, 3))))
        )

    def test_fresh_process(self, photo, tmp_path):
        model = build(class_names=NAMES)
        model.save(tmp_path / "m.keras")
        np.save(tmp_path / "x.npy", photo)
        code = """
import sys, numpy as np, cspdarknet, keras
model = keras.saving.load_model(sys.argv[1], safe_mode=True)
np.save(sys.argv[3], model.predict_on_batch(np.load(sys.argv[2])))
print(type(model).__name__, *model.class_names)
"""
        files = [tmp_path / name for name in ("m.keras", "x.npy", "y.npy")]
        assert run_python(code, *files).stdout.split()[-4:] == ["ImageClassifier", *NAMES]
        assert relative_error(np.load(files[2]), to_numpy(model(photo))) <= 1e-6

    @pytest.mark.one_backend
    def test_registered_under_the_package_name(self):
        name = keras.saving.get_registered_name(ImageClassifier)
        assert name == "cspdarknet>ImageClassifier"
