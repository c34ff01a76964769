"""`Embedder`: what a vector is, for each kind of model."""

import keras
import numpy as np
import pytest
from PIL import Image

from cspdarknet.analysis import Embedder
from cspdarknet.analysis.embedder import RandomWeightsWarning
from cspdarknet.export import export
from cspdarknet.images import center_crop, open_image
from support import to_numpy

pytestmark = pytest.mark.one_backend


@pytest.fixture
def image(photos):
    return photos / "0" / "4.png"


def expected(classifier, image, levels, size=32):
    """Means of the feature maps of pixels in 0..255, by the Keras model itself."""
    pixels = center_crop(open_image(image), size)[None].astype("float32")
    assert pixels.max() > 200
    maps = classifier.backbone.feature_pyramid(levels)(keras.ops.convert_to_tensor(pixels))
    return [to_numpy(maps[level]).mean(axis=(0, 1, 2)) for level in levels]


def test_the_deepest_level_of_a_center_crop_at_the_models_own_size(classifier, preset, image):
    for model in (preset, classifier):
        embedder = Embedder(model, runtime="keras")
        (vector,) = expected(classifier, image, ["P3"])
        np.testing.assert_allclose(embedder(image), vector, rtol=1e-4, atol=1e-5)
        assert embedder.settings.levels == ("P3",)
        assert embedder.settings.image_size == 32


def test_normalized_levels_count_the_same(classifier, preset, image):
    parts = expected(classifier, image, ["P2", "P3"], size=24)
    joined = np.concatenate([part / np.linalg.norm(part) for part in parts]) / np.sqrt(2)
    embedder = Embedder(preset, ["P3", "P2"], normalize=True, image_size=24)
    np.testing.assert_allclose(embedder(image), joined, rtol=1e-4, atol=1e-5)
    assert embedder.settings.levels == ("P2", "P3")


def test_an_exported_file_has_the_same_vectors(classifier, preset, image, tmp_path):
    pytest.importorskip("onnxruntime")
    export(classifier.backbone.feature_pyramid(["P3"]), tmp_path / "a.onnx", image_size=32)
    vector = Embedder(tmp_path / "a.onnx", image_size=32)(image)
    np.testing.assert_allclose(vector, Embedder(preset)(image), rtol=1e-4, atol=1e-5)
    export(classifier, tmp_path / "b.onnx")
    with pytest.raises(ValueError, match="Vectors are those of a backbone"):
        Embedder(tmp_path / "b.onnx")


def test_whole_images(preset, image):
    embedder = Embedder(preset, longer_side=0, runtime="keras")
    pixels = np.asarray(Image.open(image))
    assert pixels.shape != (32, 32, 3)
    np.testing.assert_array_equal(embedder(image), embedder(pixels))
    assert embedder.settings.image_size is None
    same = Embedder.like(embedder.settings, runtime="keras")
    assert same.settings == embedder.settings
    with pytest.raises(ValueError, match="leave one out"):
        Embedder(preset, longer_side=100, image_size=32)


def test_random_weights_are_named_and_repeat(image):
    vectors = []
    for _ in range(2):
        with pytest.warns(RandomWeightsWarning, match="has random weights"):
            vectors.append(Embedder("csp_darknet_tiny", runtime="keras")(image))
    np.testing.assert_array_equal(*vectors)


def test_other_weights_cannot_be_compared(preset, classifier):
    settings = Embedder(preset).settings
    with pytest.raises(ValueError, match="weights_sha256"):
        Embedder.like(settings, classifier.backbone)


def test_the_same_weights_with_other_arguments_cannot_be_compared(classifier, tmp_path):
    config = classifier.backbone.get_config()
    other = type(classifier.backbone).from_config({**config, "activation": "relu"})
    other.set_weights(classifier.backbone.get_weights())
    named = type(classifier.backbone).from_config({**config, "name": "b", "trainable": False})
    named.set_weights(classifier.backbone.get_weights())
    settings = Embedder(classifier).settings
    assert not Embedder(named, image_size=32).settings.differences(settings)
    with pytest.raises(ValueError, match="config_sha256"):
        Embedder.like(settings, other)
    for model, name in ((classifier.backbone, "a"), (other, "b")):
        model.save_to_preset(tmp_path / name)
    settings = Embedder(tmp_path / "a").settings
    with pytest.raises(ValueError, match="config_sha256") as error:
        Embedder.like(settings, tmp_path / "b")
    assert "weights_sha256" not in str(error.value)


def test_a_model_that_is_not_there_must_be_passed(classifier, tmp_path):
    in_memory = Embedder(classifier).settings
    with pytest.raises(ValueError, match=r"--model.*in memory, which is in no file"):
        Embedder.like(in_memory)
    classifier.backbone.save_to_preset(tmp_path / "a")
    stored = Embedder(tmp_path / "a").settings
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(ValueError, match=r"--model.*does not exist any more"):
        Embedder.like(stored)
    assert Embedder.like(stored, tmp_path / "b")
