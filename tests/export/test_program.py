"""Programs of Keras models, and models built from them."""

import keras
import numpy as np
import pytest

from cspdarknet.export.program import model_from_program, program_from_model
from cspdarknet.models import ImageClassifier
from support import randomize, relative_error

pytestmark = pytest.mark.one_backend


def test_a_model_is_rebuilt_with_layers_of_its_own(classifier, noise):
    rebuilt = model_from_program(program_from_model(classifier), "rebuilt")
    assert rebuilt.name == "rebuilt"
    assert not isinstance(rebuilt, ImageClassifier)
    assert {layer.name for layer in classifier.backbone.layers[1:]} < {
        layer.name for layer in rebuilt.layers
    }  # nested models are flattened
    images = noise().astype("float32")
    expected = classifier.predict_on_batch(images)
    np.testing.assert_allclose(rebuilt.predict_on_batch(images), expected, atol=1e-6)
    assert {id(v) for v in rebuilt.variables}.isdisjoint(id(v) for v in classifier.variables)


def test_shared_layers_stay_shared_and_equal_names_become_unique():
    def nested(scale):
        x = keras.Input((3,))
        return keras.Model(x, keras.layers.Rescaling(scale, name="scale")(x))

    shared = keras.layers.Dense(3, name="shared")
    x = keras.Input((3,), name="x")
    y = nested(3.0)(nested(2.0)(shared(shared(x))))
    model = randomize(keras.Model(x, {"y": y}))
    rebuilt = model_from_program(program_from_model(model), "rebuilt", dtype="float64")
    assert [layer.name for layer in rebuilt.layers] == ["x", "shared", "scale", "scale_2"]
    assert {layer.compute_dtype for layer in rebuilt.layers[1:]} == {"float64"}
    values = np.random.default_rng(0).normal(size=(2, 3))
    expected = model.predict_on_batch(values)["y"]
    assert relative_error(rebuilt.predict_on_batch(values)["y"], expected) < 1e-6


def test_kernels_include_an_enabled_lora():
    x = keras.Input((3,))
    model = keras.Model(x, keras.layers.Dense(3, name="dense")(x))
    dense = model.get_layer("dense")
    plain = dense.kernel.numpy() if hasattr(dense.kernel, "numpy") else np.asarray(dense.kernel)
    dense.enable_lora(2)
    randomize(model, 1)
    (call,) = program_from_model(model).calls
    kernel, bias = call.kernel_and_bias()
    assert kernel.shape == plain.shape
    x = np.eye(3, dtype="float32")
    np.testing.assert_allclose(model.predict_on_batch(x), x @ kernel + bias, atol=1e-5)


def test_models_that_are_not_functional_are_refused():
    class Subclassed(keras.Model):
        def call(self, x):
            return x

    with pytest.raises(ValueError, match="functional Keras model"):
        program_from_model(Subclassed())
    x = keras.Input((4,))
    with pytest.raises(ValueError, match="Nested models must be functional"):
        program_from_model(keras.Model(x, Subclassed(name="own")(x)))


def test_models_that_keras_quantized_are_refused():
    x = keras.Input((3,))
    model = keras.Model(x, keras.layers.Dense(5)(x))
    model.quantize("int8")
    with pytest.raises(ValueError, match="must not be quantized by Keras"):
        program_from_model(model)
