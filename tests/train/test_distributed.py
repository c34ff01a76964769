"""Several devices and several processes compute what one device computes (JAX)."""

import json
import os
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

from cspdarknet.train import distributed
from photo_sets import QUICK, write_photos, write_preset

needs_jax = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="Keras distributes on JAX only"
)

# Trains on what the arguments name, and writes the losses; the devices come from the environment.
TRAIN = """
import json, sys
from pathlib import Path
from cspdarknet.train import customize, distributed, load_recipe, train_classifier
work, out, join = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
if join:
    distributed.join_from_text(join)
import jax
from rich.console import Console
history = train_classifier(
    work / "photos", work / out, work / "preset", load_recipe(work / "recipe.json"),
    console=Console(quiet=True), workers=1,
)
figures = [[row["loss"], row["accuracy"], row["val_loss"]] for row in history]
print(json.dumps({"devices": jax.device_count(), "figures": figures}))
"""


def train(work, out, devices, join=""):
    env = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
    }
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, str(work), out, join],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result_of(process):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(output.splitlines()[-1])


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Photos, and a run on one device."""
    folder = tmp_path_factory.mktemp("distributed")
    write_photos(folder / "photos", 10)
    write_preset(folder / "preset")
    # Mixing pairs the photos of one process; what it pairs depends on how many there are.
    # Dropout draws for each process, too.
    recipe = {**QUICK.to_json(), "batch_size": 8, "dropout": 0.0}
    (folder / "recipe.json").write_text(json.dumps(recipe))
    one = result_of(train(folder, "one", 1))
    assert one["devices"] == 1
    (folder / "one.json").write_text(json.dumps(one["figures"]))
    return folder


def assert_same_curve(work, found):
    expected = json.loads((work / "one.json").read_text())
    # float32; sums in another order. The curve itself moves by 0.01 and more in an epoch.
    np.testing.assert_allclose(found, expected, rtol=2e-4)


@needs_jax
def test_eight_devices_compute_what_one_computes(work):
    result = result_of(train(work, "eight", 8))
    assert result["devices"] == 8
    assert_same_curve(work, result["figures"])


@needs_jax
def test_two_processes_compute_what_one_computes(work):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    processes = [train(work, "two", 1, f"{address},2,{i}") for i in range(2)]
    results = [result_of(process) for process in processes]
    assert [result["devices"] for result in results] == [2, 2]
    for result in results:
        assert_same_curve(work, result["figures"])
    assert (work / "two/report.html").exists()


@pytest.mark.one_backend
@pytest.mark.parametrize("text", ["", "here", "a:1,2", "a:1,two,0"])
def test_how_to_join_must_be_said_in_full(text):
    with pytest.raises(ValueError, match="host:port,processes,index"):
        distributed.join_from_text(text)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="about the other backends")
def test_other_backends_say_that_they_cannot():
    with pytest.raises(ValueError, match="KERAS_BACKEND=jax"):
        distributed.join_from_text("auto")


@needs_jax
def test_a_batch_that_cannot_be_shared_evenly(monkeypatch):
    monkeypatch.setattr(distributed, "_devices", lambda: [0, 1, 2, 3])
    distributed.check_batch_size(8)
    with pytest.raises(ValueError, match="multiple of 4"):
        distributed.check_batch_size(6)
