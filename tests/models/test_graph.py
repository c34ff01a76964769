"""Queries of Keras graphs."""

import keras
import pytest

from cspdarknet.models import graph

pytestmark = pytest.mark.one_backend


def test_the_source_of_many_residual_connections():
    """There are 2 ** 60 paths to the input."""
    images = x = keras.Input((4,))
    for _ in range(60):
        x = keras.layers.Add()([x, keras.layers.Activation("relu")(x)])
    assert graph.source_inputs(x) == [images]


def test_sources_are_in_order_of_appearance():
    a, b, unused = (keras.Input((4,), name=name) for name in "abc")
    keras.layers.Add()([a, unused])
    x = keras.layers.Concatenate()([b, keras.layers.Add()([b, a])])
    assert [tensor.name for tensor in graph.source_inputs(x)] == ["b", "a"]


def test_a_name_that_a_later_layer_has_is_not_free():
    images = keras.Input((4,))
    x = keras.layers.Rescaling(2.0, name="rescaling")(images)
    keras.layers.Activation("relu", name="act")(x)
    assert graph.free_name("rescaling", images) == "backbone_rescaling"
    assert graph.free_name("act", [images]) == "backbone_act"
    assert graph.free_name("pool", images) == "pool"
    assert graph.producer(x).name == "rescaling"
