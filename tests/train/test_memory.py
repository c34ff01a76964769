"""Trainings that do not fit into memory."""

from dataclasses import replace
from pathlib import Path

import keras
import pytest

from cspdarknet.train.memory import memory_errors
from cspdarknet.train.recipe import DetectionRecipe, Phase
from training_runs import assert_same_run

pytestmark = pytest.mark.one_backend

PHASE = Phase(1, 640)
RECIPE = DetectionRecipe((PHASE,), batch_size=7, accumulate=2)
TORCH = "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried"


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(TORCH),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 4096 bytes."),
        RuntimeError("OOM when allocating tensor with shape[9]"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried"),
    ],
)
def test_errors_of_the_backends(error):
    message = (
        r"batches of 7 images of 640 x 640 pixels, in epoch 1\. Train in a new folder with "
        r"`--batch-size 3 --accumulate 6` .* or `--image-size 480` or a smaller model\.$"
    )
    for raised in (error, _caused_by(error)):
        with pytest.raises(ValueError, match=message), memory_errors(RECIPE, PHASE, 0, Path("run")):
            raise raised


def _caused_by(error):
    """An error that another one led to."""
    outer = RuntimeError("no next batch")
    outer.__cause__ = error
    return outer


def test_finished_epochs_are_a_start_for_the_next_training():
    recipe = replace(RECIPE, phases=(Phase(1, 32),), batch_size=1)
    message = r"Epochs up to 3 are kept in run\. Train .* with a smaller model and `--model run`"
    with pytest.raises(ValueError, match=message), memory_errors(recipe, PHASE, 3, Path("run")):
        raise MemoryError


def test_other_errors_are_left_as_they_are():
    for error in (RuntimeError("shapes"), ValueError("x"), KeyboardInterrupt()):
        with pytest.raises(type(error)) as raised, memory_errors(RECIPE, PHASE, 0, Path("run")):
            raise error
        assert raised.value is error


def test_a_training_continues_when_there_is_memory_again(classification_run, tmp_path, monkeypatch):
    run, out, calls = classification_run, tmp_path / "run", []
    train_on_batch = keras.Model.train_on_batch

    def run_out(*args, **kwargs):
        calls.append(None)
        if len(calls) == 3:
            raise RuntimeError(TORCH)
        return train_on_batch(*args, **kwargs)

    monkeypatch.setattr(keras.Model, "train_on_batch", run_out)
    with pytest.raises(ValueError, match="The memory does not suffice"):
        run.train(out=out)
    run.train(out=out, pictures=True)
    assert_same_run(run.path, out)
