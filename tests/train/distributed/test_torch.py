"""Several processes of PyTorch compute what one computes, and end when one of them is killed."""

import dataclasses
import os

import keras
import numpy as np
import pytest

from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector
from cspdarknet.train import Phase
from image_datasets import QUICK, write_class_folders, write_preset
from support import randomize
from torch_processes import (
    curve,
    distilled_losses_and_weights,
    exchanged,
    losses_and_weights,
    run_in_processes,
    train,
    train_with_other_settings,
)
from training_runs import assert_same_run

pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="about PyTorch"),
    pytest.mark.skipif(os.name == "nt", reason="Windows cannot fork"),
]


@pytest.mark.parametrize(
    ("processes", "task"),
    [
        pytest.param(2, "detection", marks=pytest.mark.slow),
        (2, "classification"),
        pytest.param(4, "classification", marks=pytest.mark.faults),
    ],
)
def test_several_processes_compute_what_one_computes(processes, task):
    keras.utils.set_random_seed(0)
    expected_losses, expected_weights = losses_and_weights(task)
    for result in run_in_processes(processes, losses_and_weights, task):
        assert isinstance(result, tuple), result
        losses, weights = result
        # The losses of a detector are in float32, all else is in float64.
        np.testing.assert_allclose(losses, expected_losses, rtol=2e-6)
        for value, expected_value in zip(weights, expected_weights, strict=True):
            np.testing.assert_allclose(value, expected_value, rtol=1e-5, atol=1e-7)


@pytest.mark.slow
def test_several_processes_distill_what_one_distills(tmp_path):
    keras.utils.set_random_seed(1)
    backbone = CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=True)
    randomize(YOLOXDetector(backbone, 2)).save_to_preset(tmp_path)
    keras.utils.set_random_seed(0)
    expected_losses, expected_weights = distilled_losses_and_weights(tmp_path)
    for result in run_in_processes(2, distilled_losses_and_weights, tmp_path):
        assert isinstance(result, tuple), result
        losses, weights = result
        # The outputs of the teacher are in float32.
        np.testing.assert_allclose(losses, expected_losses, rtol=1e-5)
        for value, expected_value in zip(weights, expected_weights, strict=True):
            np.testing.assert_allclose(value, expected_value, rtol=1e-4, atol=1e-6)


def test_what_processes_exchange():
    first, second = run_in_processes(2, exchanged)
    assert (first["index"], second["index"]) == (0, 1)
    for result in (first, second):
        assert result["mean"] == {"loss": 1.5}
        assert result["from_first"] == "process 0"
        assert result["sum"] == [3.0, 6.0]
        # The mean over the processes of 3 at least 1, and of 0 at least 1.
        assert (result["divisor"], result["divisor_of_none"]) == (1.5, 0.5)
    # Each sum is in the losses of both processes, once and twice.
    assert (first["gradient"], second["gradient"]) == ([3.0, 3.0], [6.0, 6.0])
    assert first["weights"] == second["weights"]
    assert first["random"] != second["random"]


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """Task, dataset, preset and recipe of a training; dropout and MixUp differ by process."""
    folder = tmp_path_factory.mktemp("processes")
    recipe = dataclasses.replace(QUICK, phases=(Phase(2, 32),), batch_size=8)
    data = write_class_folders(folder / "classes", 3)
    return "classification", data, write_preset(folder / "preset"), recipe


def test_a_killed_process_ends_the_others_and_the_training_continues(arguments, tmp_path):
    whole, out = tmp_path / "whole", tmp_path / "run"
    first, second = run_in_processes(2, train, *arguments, whole)
    np.testing.assert_array_equal(curve(first), curve(second))
    survivor, killed = run_in_processes(2, train, *arguments, out, 1)
    assert "LostProcessError: Another process of this training has ended" in survivor
    assert killed is None
    assert (out / "state.npz").exists()
    run_in_processes(2, train, *arguments, out)
    assert_same_run(whole, out)


def test_processes_with_other_settings_are_refused(arguments, tmp_path):
    first, second = run_in_processes(2, train_with_other_settings, *arguments, tmp_path / "run")
    assert "must have the same settings and see the same files" in second
    assert "learning rate 0.1 → 0.2" in second
    assert "LostProcessError" in first
