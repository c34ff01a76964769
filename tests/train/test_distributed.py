"""Several devices and several processes compute what one device computes (JAX)."""

import dataclasses
import json
import os
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

from cspdarknet.train import Phase, distributed
from image_datasets import write_class_folders

needs_jax = pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="Keras distributes on JAX only"
)

# Trains as the arguments say, and prints the number of devices and the losses.
TRAIN = """
import json, sys
from pathlib import Path
from cspdarknet.train import distributed, load_recipe, train_classifier
data, preset, recipe, out, join = sys.argv[1:]
if join:
    distributed.join_from_text(join)
import jax
from rich.console import Console
history = train_classifier(
    data, out, preset, load_recipe(recipe, "classification"), console=Console(quiet=True), workers=1
)
losses = [[row["loss"], row["accuracy"], row["val_loss"]] for row in history]
print(json.dumps({"devices": jax.device_count(), "losses": losses}))
"""


@pytest.fixture(scope="module")
def arguments(classification_run, tmp_path_factory):
    """Dataset, preset and recipe; the batches of 8 images are those of any number of processes."""
    folder = tmp_path_factory.mktemp("distributed")
    # MixUp and CutMix draw the partners of a process, and dropout draws for each process.
    recipe = dataclasses.replace(
        classification_run.recipe, phases=(Phase(2, 32),), batch_size=8, dropout=0.0
    )
    (folder / "recipe.json").write_text(json.dumps(recipe.to_json()))
    data = write_class_folders(folder / "images", 6)
    return data, classification_run.preset, folder / "recipe.json"


@pytest.fixture(scope="module")
def expected(arguments, tmp_path_factory):
    """The losses of a training on one device."""
    result = result_of(start(arguments, tmp_path_factory.mktemp("one") / "run", 1))
    assert result["devices"] == 1
    return result["losses"]


def start(arguments, out, devices, join=""):
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, *map(str, arguments), str(out), join],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def result_of(process):
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors[-3000:]
    return json.loads(output.splitlines()[-1])


def assert_same_losses(losses, expected):
    # float32 sums in another order. An epoch changes the losses by 0.01 and more.
    np.testing.assert_allclose(losses, expected, rtol=2e-4)


@needs_jax
def test_eight_devices_compute_what_one_computes(arguments, expected, tmp_path):
    result = result_of(start(arguments, tmp_path / "run", 8))
    assert result["devices"] == 8
    assert_same_losses(result["losses"], expected)


@needs_jax
def test_two_processes_compute_what_one_computes(arguments, expected, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    out = tmp_path / "run"
    results = [
        result_of(process)
        for process in [start(arguments, out, 1, f"{address},2,{i}") for i in range(2)]
    ]
    assert [result["devices"] for result in results] == [2, 2]
    for result in results:
        assert_same_losses(result["losses"], expected)
    assert (out / "report.html").exists()


@pytest.mark.one_backend
@pytest.mark.parametrize("text", ["", "here", "a:1,2", "a:1,two,0"])
def test_processes_to_join_that_are_not_complete(text):
    with pytest.raises(ValueError, match="host:port,processes,index"):
        distributed.join_from_text(text)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="about the other backends")
def test_other_backends_cannot_join():
    with pytest.raises(ValueError, match="KERAS_BACKEND=jax"):
        distributed.join_from_text("auto")


@needs_jax
def test_a_batch_that_cannot_be_divided_evenly(monkeypatch):
    monkeypatch.setattr(distributed, "_devices", lambda: [0, 1, 2, 3])
    distributed.check_batch_size(8)
    with pytest.raises(ValueError, match="must be a multiple of 4"):
        distributed.check_batch_size(6)
