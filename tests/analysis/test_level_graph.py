"""A model cut at the levels of its backbone."""

import warnings

import keras
import numpy as np
import pytest

from cspdarknet.analysis.level_graph import LevelGraph
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from support import randomize, relative_error

IMAGES = np.random.default_rng(0).uniform(0, 255, (1, 45, 52, 3)).astype("float32")


@pytest.fixture(scope="module")
def backbone():
    return randomize(CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=True))


def test_maps_are_those_of_the_backbone(backbone):
    nodes = [len(layer._inbound_nodes) for layer in backbone.layers]
    maps, outputs = LevelGraph(backbone).forward(IMAGES)
    expected = backbone.feature_pyramid(["P2", "P3", "P4"]).predict_on_batch(IMAGES)
    assert list(maps) == list(expected)
    assert outputs == {}
    for level, values in expected.items():
        assert relative_error(maps[level], values) < 1e-5
    assert nodes == [len(layer._inbound_nodes) for layer in backbone.layers]


@pytest.mark.one_backend
def test_a_backbone_of_another_origin_has_its_output_as_the_only_level():
    inputs = keras.Input((None, None, 3))
    other = keras.Model(inputs, keras.layers.Conv2D(5, 3, activation="relu")(inputs))
    graph = LevelGraph(ImageClassifier(other, 2))
    maps, outputs = graph.forward(IMAGES)
    assert list(maps) == ["output"]
    assert tuple(outputs["logits"].shape) == (1, 2)
    gradient = graph.gradient("output", maps, np.array([[1, 0]], "float32"))
    assert gradient.shape == (43, 50, 5)
    assert np.ptp(gradient, axis=(0, 1)).max() < 1e-7  # the mean's, the same at all positions


@pytest.mark.one_backend
def test_dropout_and_mixed_precision(backbone):
    small = CSPDarkNetBackbone([4, 6], [1, 1], True, dtype="mixed_bfloat16")
    graph = LevelGraph(randomize(ImageClassifier(small, 2, dropout=0.5)))
    maps, first = graph.forward(IMAGES)
    np.testing.assert_array_equal(first["logits"], graph.forward(IMAGES)[1]["logits"])
    gradient = graph.gradient("P2", maps, np.array([[1, 0]], "float32"))
    assert gradient.dtype == np.float32
    assert np.isfinite(gradient).all()


@pytest.mark.one_backend
def test_quantized_models_are_refused(backbone):
    model = ImageClassifier(CSPDarkNetBackbone([4, 6], [1, 1], True), 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # layers that cannot be quantized
        model.quantize("int8")
    with pytest.raises(ValueError, match=r"before `quantize`.*predictions.*occlusion"):
        LevelGraph(model)
