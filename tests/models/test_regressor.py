"""`ImageRegressor`: what it computes, its config, and saving."""

import keras
import numpy as np
import pytest
from PIL import Image

from cspdarknet.checkpoints import identify
from cspdarknet.conversion import save
from cspdarknet.export import export
from cspdarknet.images import center_crop
from cspdarknet.inference import Predictor
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, ImageRegressor, load_model
from support import TINY_NET, needs_channels_first, randomize, relative_error, to_numpy

NAMES = ["age", "weight"]
MEAN, STD = [41.0, -750.0], [12.0, 0.5]


def build(**changes):
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, **changes.pop("backbone", {}))
    options = {"targets": NAMES, "mean": MEAN, "std": STD, **changes}
    return randomize(ImageRegressor(backbone, **options))


@pytest.mark.parametrize(("pooling", "pool"), [("avg", np.mean), ("max", np.max)])
def test_outputs_are_in_the_units_of_the_targets(pooling, pool, photo):
    model = build(pooling=pooling)
    vector = pool(to_numpy(model.backbone(photo)), axis=(1, 2))
    head = model.get_layer("predictions")
    standardized = vector @ to_numpy(head.kernel) + to_numpy(head.bias)
    outputs = to_numpy(model(photo))
    assert relative_error((outputs - MEAN) / STD, standardized) <= 1e-3  # of -750 in float32
    np.testing.assert_allclose(model.predict(photo, verbose=0), outputs, rtol=1e-6)


@needs_channels_first
def test_targets_are_not_channels_where_these_come_first(photo):
    expected = build()
    keras.config.set_image_data_format("channels_first")
    model = build(backbone={"data_format": "channels_first"})
    model.set_weights(expected.get_weights())
    outputs = model.predict(photo.transpose(0, 3, 1, 2), verbose=0)
    keras.config.set_image_data_format("channels_last")
    np.testing.assert_allclose(outputs, expected.predict(photo, verbose=0), rtol=1e-5)


def test_a_model_and_its_copy_from_the_config_compute_the_same(photo, tmp_path):
    model = build(dropout=0.25, image_size=(24, 32), pooling="max")
    copy = ImageRegressor.from_config(model.get_config())
    copy.set_weights(model.get_weights())
    assert copy.get_config() == model.get_config()
    expected = model.predict(photo, verbose=0)
    np.testing.assert_array_equal(copy.predict(photo, verbose=0), expected)
    model.save(tmp_path / "a.keras")
    loaded = keras.saving.load_model(tmp_path / "a.keras", safe_mode=True)
    assert type(loaded) is ImageRegressor
    np.testing.assert_array_equal(loaded.predict(photo, verbose=0), expected)


def test_half_precision_does_not_reach_the_numbers(photo):
    plain = build()
    half = build(backbone={"dtype": "mixed_bfloat16"})
    half.set_weights(plain.get_weights())
    outputs = to_numpy(half(photo))
    assert outputs.dtype == np.float32
    errors = np.abs(outputs - to_numpy(plain(photo))) / STD
    assert errors.max() < 0.1


@pytest.mark.one_backend
class TestFiles:
    @pytest.mark.parametrize("suffix", ["", ".safetensors", ".keras"])
    def test_round_trip(self, suffix, photo, tmp_path):
        model, path = build(image_size=24), tmp_path / f"a{suffix}"
        save(model, path)
        loaded = load_model(path)
        assert type(loaded) is ImageRegressor
        assert (loaded.targets, loaded.mean, loaded.std) == (tuple(NAMES), tuple(MEAN), tuple(STD))
        expected = model.predict(photo, verbose=0)
        np.testing.assert_array_equal(loaded.predict(photo, verbose=0), expected)
        if suffix:
            file = identify(path)
            assert (file.task, file.targets, file.notes) == ("regression", tuple(NAMES), ())

    def test_pth_files_hold_no_units(self, tmp_path):
        with pytest.raises(ValueError, match="regressor's head: save"):
            save(build(), tmp_path / "a.pth")

    def test_other_targets_get_a_new_head(self, tmp_path):
        build().save_to_preset(tmp_path / "a")
        other = ImageRegressor.from_preset(tmp_path / "a", targets=["height"])
        assert (other.targets, other.mean, other.std) == (("height",), (0.0,), (1.0,))
        classifier = ImageClassifier.from_preset(tmp_path / "a", num_classes=3)
        kernel = classifier.backbone.weights[0]
        np.testing.assert_array_equal(kernel, other.backbone.weights[0])
        with pytest.raises(ValueError, match=r"a model for regression, .* pass `num_classes`"):
            load_model(tmp_path / "a", "classification")
        with pytest.raises(ValueError, match="pass `targets` to put a new"):
            ImageRegressor.from_preset("csp_darknet_tiny")

    def test_exported_numbers_are_those_of_the_model(self, tmp_path):
        model = build(image_size=24)
        result = export(model, tmp_path / "a.onnx")
        assert result.comparison.max_relative_error < 1e-4
        assert (result.info.task, result.info.targets) == ("regression", tuple(NAMES))
        image = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype="uint8")
        predictor = Predictor(tmp_path / "a.onnx", runtime="onnxruntime")
        assert predictor.info.targets == tuple(NAMES)
        crop = center_crop(Image.fromarray(image), 24)
        expected = model.predict(crop[None], verbose=0)[0]
        assert (np.abs(predictor(image) - expected) / STD).max() < 1e-4
        flipped = Predictor(tmp_path / "a.onnx", runtime="onnxruntime", augment=True)(image)
        both = model.predict(np.stack([crop, crop[:, ::-1]]), verbose=0).mean(axis=0)
        assert (np.abs(flipped - both) / STD).max() < 1e-4

    def test_numbers_far_from_the_mean_have_the_error_of_float32(self, tmp_path):
        """Those of a network that was hardly trained: it is relative to the largest of them."""
        model = build(image_size=24)
        head = model.get_layer("predictions")
        head.set_weights([1e4 * array for array in head.get_weights()])
        assert export(model, tmp_path / "a.onnx").comparison.max_relative_error < 1e-4

    def test_a_large_mean_does_not_hide_the_error_of_a_file(self, tmp_path, monkeypatch):
        """0.01 of a standard deviation is 1e-6 of these numbers."""
        from cspdarknet.export import exporter

        def damaged(*args):
            return {"targets": kept.outputs()["targets"] + 0.1}

        kept = None

        class Kept(exporter.Reference):
            def __init__(self, *args):
                nonlocal kept
                super().__init__(*args)
                kept = self

        monkeypatch.setattr(exporter, "Reference", Kept)
        monkeypatch.setattr(exporter.keras_formats, "write", damaged)
        model = build(targets=["year"], mean=[2000.0], std=[10.0])
        with pytest.raises(
            ValueError, match=r"maximum relative error of 0\.0001\. Received: 1\.0e-02"
        ):
            export(model, tmp_path / "a.pt2")


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": "age"}, "`targets` must be a list of different names.*targets='age'"),
        ({"targets": []}, r"Received: targets=\[\]"),
        ({"targets": ["a", "a"]}, "different names"),
        ({"targets": ["a", 3]}, "different names"),
        ({"mean": [1.0]}, "`mean` must be a list of 2 numbers"),
        ({"mean": [1.0, np.nan]}, "`mean` must be"),
        ({"std": [1.0, 0.0]}, "`std` must be a list of 2 numbers from 1e-06"),
        ({"std": 3}, "`std` must be"),
        ({"dropout": 1.0}, "`dropout` must be"),
        ({"pooling": "sum"}, "`pooling` must be"),
        ({"num_classes": 2}, "Unrecognized keyword arguments: num_classes"),
    ],
)
def test_arguments(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)
