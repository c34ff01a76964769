"""The command on several devices: a killed process ends it, and the same command continues."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from cspdarknet.train import Phase
from cspdarknet.train.run_folder import RunFolder
from training_runs import assert_same_run

pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.faults,
    pytest.mark.skipif(keras.backend.backend() != "torch", reason="about PyTorch"),
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs the lists of /proc"),
]
EPOCHS = 4
# Epochs that are compared with those of one process. SimOTA assigns an anchor point or does not: in
# float32, sums in another order turn single assignments after a few steps.
COMPARED = {"classification": EPOCHS, "detection": 1}
METRICS = {
    "classification": ["loss", "val_loss"],
    "detection": ["loss", "box_loss", "objectness_loss", "class_loss", "val_map50"],
}


@pytest.fixture(params=list(METRICS))
def run(request, tmp_path):
    """The function that starts the command; the metrics and the number of epochs to compare."""
    finished = request.getfixturevalue(f"{request.param}_run")
    size = finished.recipe.phases[-1].image_size
    # Dropout is drawn for each process.
    changes = {"dropout": 0.0} if request.param == "classification" else {"evaluate_every": 1}
    recipe = dataclasses.replace(
        finished.recipe, phases=(Phase(EPOCHS, size),), batch_size=4, optimizer="sgd", **changes
    )
    RunFolder(tmp_path).write_json("recipe.json", recipe.to_json())

    def start(out, devices):
        options = {"--out": out, "--model": finished.preset, "--recipe": tmp_path / "recipe.json"}
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "cspdarknet", "train", str(finished.data)),
                *(str(part) for option in options.items() for part in option),
                *("--devices", str(devices), "--task", request.param),
            ],
            env={**os.environ, "KERAS_BACKEND": "torch", "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start, METRICS[request.param], COMPARED[request.param]


def children(process):
    """The ids of the workers of a process."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(child) for child in listed.split()]


def metrics(out, names):
    table = np.genfromtxt(out / "metrics.csv", delimiter=",", names=True, dtype=None)
    return np.stack([table[name] for name in names], axis=1)


@pytest.mark.parametrize("devices", [2, 4])
def test_a_killed_worker_ends_the_command_which_continues(run, devices, tmp_path):
    start, names, epochs = run
    for out, number in ((tmp_path / "one", 1), (tmp_path / "whole", devices)):
        _, errors = (process := start(out, number)).communicate(timeout=300)
        assert process.returncode == 0, errors
    curves = [metrics(tmp_path / name, names)[:epochs] for name in ("whole", "one")]
    np.testing.assert_allclose(*curves, rtol=2e-4)
    out = tmp_path / "run"
    process = start(out, devices)
    while not (out / "metrics.csv").exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    workers = children(process)
    assert len(workers) == devices
    os.kill(workers[-1], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert len(errors.strip().splitlines()) == 1
    assert f"Worker process {devices} of {devices} was ended by SIGKILL" in errors
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    _, errors = (process := start(out, devices)).communicate(timeout=300)
    assert process.returncode == 0, errors
    assert_same_run(tmp_path / "whole", out)
