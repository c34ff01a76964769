"""The decoupled head: order of its outputs, initial probabilities, separate weights."""

import keras
import numpy as np
import pytest

from cspdarknet.layers import BlockSettings
from cspdarknet.yolox.head import PRIOR_PROBABILITY, decoupled_head
from support import needs_channels_first, to_numpy

SIZES = {"P3": (2, 3), "P4": (1, 2)}


def build(data_format="channels_last", dtype=None):
    """A head of two classes on feature maps of zeros; each level's bias is its own."""
    settings = BlockSettings(data_format=data_format, dtype=dtype)
    shapes = {
        level: (*size, 4) if data_format == "channels_last" else (4, *size)
        for level, size in SIZES.items()
    }
    features = {level: keras.Input(shape, name=level) for level, shape in shapes.items()}
    model = keras.Model(features, decoupled_head(features, 2, 8, settings=settings))
    zeros = {level: np.zeros((1, *shape), "float32") for level, shape in shapes.items()}
    return model, zeros


@pytest.mark.one_backend
def test_levels_are_concatenated_and_do_not_share_weights():
    model, zeros = build()
    for i, level in enumerate(("p3", "p4")):
        model.get_layer(f"head_{level}_boxes").bias.assign(np.full(4, i + 1))
    outputs = {name: to_numpy(value) for name, value in model(zeros).items()}
    assert {name: value.shape for name, value in outputs.items()} == {
        "boxes": (1, 8, 4),
        "objectness": (1, 8, 1),
        "classes": (1, 8, 2),
    }
    assert outputs["boxes"][0, :, 0].tolist() == [1] * 6 + [2] * 2


@pytest.mark.one_backend
def test_a_new_head_expects_few_objects():
    model, zeros = build()
    outputs = model(zeros)
    for name in ("objectness", "classes"):
        probabilities = to_numpy(keras.ops.sigmoid(outputs[name]))
        np.testing.assert_allclose(probabilities, PRIOR_PROBABILITY, rtol=1e-5)


@pytest.mark.one_backend
def test_outputs_are_float32_under_mixed_precision():
    model, _ = build(dtype="mixed_bfloat16")
    assert {x.dtype for x in model.output.values()} == {"float32"}
    assert model.get_layer("head_p3_stem").compute_dtype == "bfloat16"


@needs_channels_first
def test_channels_first_gives_the_same_rows():
    last, _ = build()
    first, _ = build("channels_first")
    first.set_weights(last.get_weights())
    rng = np.random.default_rng(0)
    maps = {level: rng.normal(size=(1, *size, 4)) for level, size in SIZES.items()}
    outputs = first({level: x.transpose(0, 3, 1, 2) for level, x in maps.items()})
    for name, expected in last(maps).items():
        np.testing.assert_allclose(to_numpy(outputs[name]), to_numpy(expected), atol=1e-5)
