"""Several devices and several processes of JAX compute what one device computes."""

import dataclasses
import json
import os
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

from cspdarknet.models import CSPDarkNetBackbone
from cspdarknet.train import Phase, distributed
from image_datasets import QUICK, write_class_folders, write_preset, write_yolo_dataset
from training_runs import DETECTION

needs_jax = pytest.mark.skipif(keras.backend.backend() != "jax", reason="about JAX")

# Trains as the arguments say, and prints the number of devices and the losses.
TRAIN = """
import json, sys
from cspdarknet.train import distributed, load_recipe, train_classifier, train_detector
task, data, preset, recipe, out, join, devices = sys.argv[1:]
if join:
    distributed.join_from_text(join)
elif devices:
    distributed.run_on_devices(devices)
from rich.console import Console
train = train_detector if task == "detection" else train_classifier
history = train(
    data, out, preset, load_recipe(recipe, task), console=Console(quiet=True), workers=1
)
names = [name for name in history[0] if name.endswith(("loss", "accuracy"))]
losses = [[row[name] for name in names] for row in history]
print(json.dumps({"devices": distributed.device_names(), "losses": losses}))
"""


@pytest.fixture(scope="module")
def arguments(tmp_path_factory):
    """Task, dataset, preset and recipe; the batches are those of any number of processes."""
    folder = tmp_path_factory.mktemp("distributed")
    recipes = {
        # MixUp and CutMix draw the partners of a process, and dropout draws for each process.
        "classification": dataclasses.replace(
            QUICK, phases=(Phase(2, 32),), batch_size=8, dropout=0.0
        ),
        # One step: from the second on, rounding may turn single assignments of SimOTA.
        "detection": dataclasses.replace(DETECTION, phases=(Phase(1, 64),), batch_size=8),
    }
    for task, recipe in recipes.items():
        (folder / f"{task}.json").write_text(json.dumps(recipe.to_json()))
    backbone = CSPDarkNetBackbone([8, 12, 16], [1, 1, 1], include_rescaling=True)
    backbone.save_to_preset(folder / "backbone")
    classes, boxes = write_class_folders(folder / "a", 6), write_yolo_dataset(folder / "b", 8)
    inputs = {
        "classification": (classes, write_preset(folder / "preset")),
        "detection": (boxes, folder / "backbone"),
    }
    return {task: (task, *inputs[task], folder / f"{task}.json") for task in recipes}


@pytest.fixture(scope="module")
def expected(arguments, tmp_path_factory):
    """The losses of trainings on one device."""
    folder = tmp_path_factory.mktemp("one")
    results = {task: result_of(start(arguments[task], folder / task, 1)) for task in arguments}
    assert all(result["devices"] == "cpu" for result in results.values())
    return {task: result["losses"] for task, result in results.items()}


def start(arguments, out, devices, join="", chosen=""):
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, *map(str, arguments), str(out), join, chosen],
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
    result = result_of(start(arguments["classification"], tmp_path / "run", 8))
    assert result["devices"] == "8 cpu devices"
    assert_same_losses(result["losses"], expected["classification"])


@needs_jax
@pytest.mark.parametrize("task", ["classification", "detection"])
def test_two_processes_compute_what_one_computes(task, arguments, expected, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    out = tmp_path / "run"
    processes = [start(arguments[task], out, 1, f"{address},2,{i}") for i in range(2)]
    for result in [result_of(process) for process in processes]:
        assert result["devices"] == "2 cpu devices"
        assert_same_losses(result["losses"], expected[task])
    assert (out / "report.html").exists()


@needs_jax
def test_a_number_of_devices(arguments, expected, tmp_path):
    result = result_of(start(arguments["classification"], tmp_path / "run", 4, chosen="2"))
    assert result["devices"] == "2 cpu devices"
    assert_same_losses(result["losses"], expected["classification"])


@needs_jax
def test_more_devices_than_there_are():
    with pytest.raises(ValueError, match="at most 1, the number of devices that JAX sees"):
        distributed.run_on_devices("2")


@pytest.mark.one_backend
@pytest.mark.parametrize("text", ["", "here", "a:1,2", "a:1,two,0"])
def test_processes_to_join_that_are_not_complete(text):
    with pytest.raises(ValueError, match="host:port,processes,index"):
        distributed.join_from_text(text)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="about the other backends")
def test_other_backends_cannot_join():
    with pytest.raises(ValueError, match="`--join` is for JAX"):
        distributed.join_from_text("auto")
