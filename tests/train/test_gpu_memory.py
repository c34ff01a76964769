"""Backends that take all memory of a GPU at their start."""

import keras
import pytest

from cspdarknet.train.gpu_memory import check_on_demand, gpu_memory

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("backend", "name", "value"),
    [
        ("jax", "XLA_PYTHON_CLIENT_PREALLOCATE", "false"),
        ("tensorflow", "TF_FORCE_GPU_ALLOW_GROWTH", "true"),
    ],
)
def test_they_must_leave_memory_to_another_process(monkeypatch, backend, name, value):
    monkeypatch.setattr(keras.backend, "backend", lambda: backend)
    monkeypatch.delenv(name, raising=False)
    with pytest.raises(ValueError, match=f"set {name}={value}"):
        check_on_demand()
    monkeypatch.setenv(name, value)
    check_on_demand()


def test_pytorch_takes_what_it_needs(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    check_on_demand()


def test_without_a_gpu_nothing_is_known():
    assert gpu_memory() == (0, 0)
