"""`ImageClassifier`: what it computes, and training."""

import keras
import numpy as np
import pytest
from PIL import Image

from cspdarknet.checkpoints.writers import write_safetensors
from cspdarknet.images import ImageError, center_crop
from cspdarknet.inference import Predictor
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, load_model
from support import TINY_NET, needs_channels_first, randomize, relative_error, to_numpy

NAMES = ["cat", "dog", "owl"]


def backbone(**changes):
    return CSPDarkNetBackbone(**{**TINY_NET, "include_rescaling": True, **changes})


def build(num_classes=3, **changes):
    of_backbone = changes.pop("backbone", {})
    return randomize(ImageClassifier(backbone(**of_backbone), num_classes, **changes))


class TestLabels:
    def test_probabilities_of_each_class_on_its_own(self, photo):
        model = build(labels="multi", backbone={"name": "net"})
        assert (model.labels, model.activation, model.score_threshold) == ("multi", "sigmoid", 0.5)
        logits = ImageClassifier(model.backbone, 3, activation=None, labels="multi")
        logits.set_weights(model.get_weights())
        expected = 1 / (1 + np.exp(-to_numpy(logits(photo))))
        assert relative_error(model(photo), expected) <= 1e-5

    @pytest.mark.one_backend
    def test_the_config_has_what_is_not_usual(self):
        assert not {"labels", "score_threshold"} & set(build().get_config())
        for options in (
            {"labels": "ordinal", "activation": "softmax"},
            {"labels": "multi", "activation": None, "score_threshold": (0.5, 0.25, 1.0)},
        ):
            model = build(**options)
            again = ImageClassifier.from_config(model.get_config())
            for name, value in options.items():
                assert getattr(again, name) == getattr(model, name) == value

    @pytest.mark.one_backend
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"labels": "many"}, "`labels` must be one of"),
            ({"labels": "multi", "activation": "softmax"}, "`activation` must be 'sigmoid'"),
            ({"labels": "ordinal", "activation": "sigmoid"}, "`activation` must be 'softmax'"),
            ({"score_threshold": 0.5}, "`score_threshold` is for labels='multi'"),
            ({"labels": "multi", "score_threshold": (0.5,)}, "each of the 3 classes"),
        ],
    )
    def test_arguments_that_contradict(self, options, message):
        with pytest.raises(ValueError, match=message):
            ImageClassifier(backbone(), 3, **options)


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
        outputs = model.predict(x.astype("uint8"), verbose=0)
        assert outputs.shape == (2, 3)
        assert relative_error(model.predict(x.astype("float32"), verbose=0), outputs) <= 1e-6

    def test_single_images_are_cropped_to_the_size_of_the_model(self, tmp_path):
        model = build(image_size=24)
        pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype="uint8")
        image = Image.fromarray(pixels)
        image.save(tmp_path / "a.png")
        crop = center_crop(image, 24)
        expected = model.predict(crop[None], verbose=0)
        for x in (tmp_path / "a.png", str(tmp_path / "a.png"), image, pixels):
            np.testing.assert_array_equal(model.predict(x, verbose=0), expected)
        outputs = model.predict([pixels, pixels[:, :32], image], batch_size=2, verbose=0)
        assert outputs.shape == (3, 3)
        assert relative_error(outputs[::2], np.repeat(expected, 2, axis=0)) <= 1e-5

    @pytest.mark.one_backend
    def test_batches_are_what_keras_takes(self):
        model, batch = build(image_size=24), np.zeros((2, 30, 30, 3))
        expected = model.predict(batch, verbose=0)
        whole = model.predict(((x,) for x in [batch]), steps=1, verbose=0)
        np.testing.assert_array_equal(whole, expected)
        np.testing.assert_array_equal(model.predict_on_batch(batch), expected)

    @needs_channels_first
    @pytest.mark.one_backend
    def test_single_images_with_the_channels_first(self):
        image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype="uint8")
        model = build(image_size=24)
        turned = build(backbone={"data_format": "channels_first"}, image_size=24)
        expected = model.predict(image, verbose=0)
        assert relative_error(turned.predict(image, verbose=0), expected) <= 1e-5

    @pytest.mark.one_backend
    def test_unreadable_images(self):
        for bad in ("no.png", ["no.png"], np.zeros((5, 5, 4))):
            with pytest.raises(ImageError, match=r"no such file|\(height, width, 3\)"):
                build().predict(bad, verbose=0)

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


@pytest.mark.one_backend
class TestCrop:
    def test_image_files_are_cropped_to_a_part(self, tmp_path):
        pixels = np.full((40, 60, 3), 255, "uint8")
        pixels[6:34, 16:44] = 40  # around the central square of 20 pixels
        Image.fromarray(pixels).save(tmp_path / "a.png")
        model, plain = (build(image_size=16, crop=crop) for crop in (0.5, 1))
        assert ImageClassifier.from_config(model.get_config()).crop == 0.5
        assert "crop" not in plain.get_config()
        expected = plain.predict(np.full((1, 16, 16, 3), 40.0), verbose=0)
        for name, found in {
            "keras": model.predict(tmp_path / "a.png", verbose=0),
            "predictor": Predictor(model)(tmp_path / "a.png")[None],
        }.items():
            assert relative_error(found, expected) <= 1e-5, name
        for whole in (plain.predict(pixels, verbose=0), model.predict(pixels[None], verbose=0)):
            assert relative_error(whole, expected) > 2e-5  # without a crop, and as a batch

    @pytest.mark.parametrize("crop", [0, 95, float("nan"), "0.9", None])
    def test_out_of_range(self, crop):
        with pytest.raises(ValueError, match=r"`crop` must be the part .* from 0.1 to 1"):
            build(crop=crop)


class TestTemperature:
    """The logits are divided by it; without one the model is what it was before it had one."""

    @pytest.mark.parametrize("activation", ["softmax", "sigmoid", None])
    def test_outputs(self, activation, photo):
        model = build(activation=activation, temperature=2.5)
        logits = to_numpy(build(activation=None)(photo)) / 2.5
        exponents = np.exp(logits)
        of_logits = {"softmax": exponents / exponents.sum(), "sigmoid": 1 / (1 + np.exp(-logits))}
        assert relative_error(model(photo), of_logits.get(activation, logits)) <= 1e-5
        again = ImageClassifier.from_config(model.get_config())
        assert (again.temperature, again.get_config()) == (2.5, model.get_config())

    @pytest.mark.one_backend
    def test_without_one_nothing_changes(self):
        names = {"name": "a", "backbone": {"name": "net"}}
        plain, one = build(**names), build(**names, temperature=1)
        assert "temperature" not in plain.get_config()
        assert one.get_config() == plain.get_config()
        assert [x.name for x in one.layers][-2:] == ["avg_pool", "predictions"]
        assert one.get_layer("predictions").activation is keras.activations.softmax

    @pytest.mark.one_backend
    @pytest.mark.parametrize("temperature", [0, -1, 1e-9, float("nan"), "2", True, None])
    def test_out_of_range(self, temperature):
        with pytest.raises(ValueError, match=r"`temperature` must be a number from 0.001 to 1000"):
            build(temperature=temperature)

    @pytest.mark.one_backend
    def test_files_keep_it_and_weight_files_fit_models_without_it(self, tmp_path):
        model, plain = build(temperature=2.5), build()
        model.save(tmp_path / "a.keras")
        write_safetensors(model, tmp_path / "a.safetensors")
        for name in ("a.keras", "a.safetensors"):
            loaded = load_model(tmp_path / name)
            assert loaded.temperature == 2.5
            np.testing.assert_array_equal(loaded.get_weights()[-1], plain.get_weights()[-1])
        plain.save_weights(tmp_path / "a.weights.h5")
        other = ImageClassifier.from_config(model.get_config())
        other.load_weights(tmp_path / "a.weights.h5")
        np.testing.assert_array_equal(other.get_weights()[-2], plain.get_weights()[-2])


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
        outputs = to_numpy(model(x, training=True))
        assert len(np.unique(outputs[:, 0])) > 1
