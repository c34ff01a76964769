"""The state that an interrupted training continues from."""

import keras
import numpy as np
import pytest

from cspdarknet._files import OutputFolder
from cspdarknet.models import ImageClassifier
from cspdarknet.train.averages import WeightAverages
from cspdarknet.train.state import STATE, State, save_state
from support import to_numpy


def build(tiny_net):
    model = ImageClassifier(tiny_net, 2, activation=None, dropout=0.5)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.1), loss)
    return model


def step(model):
    x = np.random.default_rng(0).normal(size=(4, 16, 16, 3)).astype("float32")
    model.train_on_batch(x, np.eye(2)[[0, 1, 0, 1]])


def test_a_restored_training_takes_the_same_next_step(tiny_net, tmp_path):
    """Weights, moments, the average, and the random state of dropout are all restored."""
    model = build(tiny_net)
    averages = WeightAverages(model, 0.9, 0.9)
    step(model)
    averages.update()
    save_state(OutputFolder(tmp_path), model, averages, [{"epoch": 1}])
    stored = averages.to_numpy()
    keras.utils.set_random_seed(7)
    step(model)
    expected = [to_numpy(v).copy() for v in model.variables]
    averages.update()

    keras.utils.set_random_seed(1)
    step(model)  # somewhere else
    state = State(tmp_path / STATE)
    assert state.history == [{"epoch": 1}]
    model.compile(keras.optimizers.Adam(0.1), model.loss)
    state.restore_model(model, averages)
    state.restore_optimizer(model)
    assert averages.updates == 1
    for value, reference in zip(averages.to_numpy(), stored, strict=True):
        np.testing.assert_array_equal(value, reference)
    keras.utils.set_random_seed(7)
    step(model)
    for variable, reference in zip(model.variables, expected, strict=True):
        if "loss" not in variable.path:
            np.testing.assert_array_equal(to_numpy(variable), reference)


@pytest.mark.one_backend
def test_damaged_files(tmp_path):
    path = tmp_path / STATE
    np.savez(path, history=np.frombuffer(b"[]", "uint8"))
    content = path.read_bytes()
    np.savez(path, other=np.zeros(1))
    for damaged in (content[:100], b"", path.read_bytes()):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"is damaged .*: train into a new folder"):
            State(path)
