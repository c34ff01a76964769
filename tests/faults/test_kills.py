"""Trainings that are killed at chosen moments, and continued to the same result."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import pytest

from cspdarknet.train.run_folder import RunFolder
from training_runs import assert_same_run

pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL"),
]

SCRIPT = Path(__file__).with_name("killed_process.py")
LOOP = "cspdarknet.train.loop:Training"
# Kills of both tasks. Each epoch writes `best` if it is the best, then `last`, then the metrics and
# the state; a folder that exists gets its files one after the other.
SHARED = (
    "import:keras",
    "import:cspdarknet.train.loop",
    "write:run.json:1",
    "write:images.csv:1",
    "write:skipped.csv:1",
    "call:keras:Model.train_on_batch:1",
    "call:keras:Model.train_on_batch:3",
    f"call:{LOOP}._evaluate:1",
    "write:config.json:1",
    "write:model.weights.h5:2",
    "write:metadata.json:3",
    "move:last:1",
    "move:model.weights.h5:1",
    "move:config.json:2",
    "write:metrics.csv:1",
    "write:metrics.jsonl:2",
    "write:state.npz:2",
    "write:state.npz:3",
    "move:state.npz:2",
    f"call:{LOOP}.evaluate_best:1",
    "write:evaluation.json:1",
    "write:curves.png:1",
    "write:confusion.png:1",
    "write:mistakes.png:1",
    "write:report.html:1",
)
QUICK = {
    "classification": ("write:state.npz:2",),
    "detection": ("write:report.html:1",),
}
CASES = [
    *(
        pytest.param(task, moment, marks=pytest.mark.slow)
        for task, moments in QUICK.items()
        for moment in moments
    ),
    *(
        pytest.param(task, moment, marks=pytest.mark.faults)
        for task in QUICK
        for moment in SHARED
        if moment not in QUICK[task]
    ),
]


@pytest.mark.parametrize(("task", "moment"), CASES)
def test_a_killed_training_continues_to_the_same_result(task, moment, request, tmp_path):
    run = request.getfixturevalue(f"{task}_run")
    RunFolder(tmp_path).write_json("recipe.json", run.recipe.to_json())
    done = subprocess.run(
        [sys.executable, SCRIPT, moment, "train", task, tmp_path, run.data, run.preset],
        env={**os.environ, "KERAS_BACKEND": keras.backend.backend()},
        capture_output=True,
        timeout=500,
        check=False,
    )
    expected = signal.SIGXFSZ if moment.startswith("write") else signal.SIGKILL
    assert done.returncode == -expected, done.stderr[-3000:].decode()
    run.train(out=tmp_path / "run", pictures=True)
    assert_same_run(run.path, tmp_path / "run")
