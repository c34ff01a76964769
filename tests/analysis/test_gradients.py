"""Values and gradients of functions, on each backend."""

import keras
import numpy as np
import pytest

from cspdarknet.analysis import gradients
from cspdarknet.analysis.gradients import compiled, value_and_gradient


def test_a_function_of_a_tensor_and_lists():
    def function(x, others, factor):
        return keras.ops.sum(factor * x**3 + others[0] * x)

    x, other = np.array([1, -2, 0.5], "float32"), np.array([3, 1, 2], "float32")
    value, gradient = value_and_gradient(function)(x, [other], np.float32(2))
    np.testing.assert_allclose(value, (2 * x**3 + other * x).sum(), rtol=1e-6)
    np.testing.assert_allclose(gradient, 6 * x**2 + other, rtol=1e-6)
    assert gradient.dtype == np.float32


def test_a_function_that_does_not_depend_on_the_tensor():
    constant = value_and_gradient(lambda x, y: keras.ops.sum(y))
    value, gradient = constant(np.ones(2, "float32"), np.ones(3, "float32"))
    assert value == 3
    np.testing.assert_array_equal(gradient, [0, 0])


def test_compiled_functions_return_the_same():
    double = compiled(lambda x: {"twice": 2 * x})
    np.testing.assert_array_equal(np.asarray(double(np.ones(2, "float32"))["twice"]), [2, 2])


@pytest.mark.one_backend
def test_backends_without_gradients_are_refused(monkeypatch):
    monkeypatch.setattr(gradients.keras.backend, "backend", lambda: "numpy")
    with pytest.raises(ValueError, match=r"KERAS_BACKEND=numpy.*occlusion"):
        gradients.check_backend()
