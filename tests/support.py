"""Helpers for tests of several files: reference files, comparisons, new processes."""

import atexit
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

from cspdarknet.cli import app

SMALL = {"stackwise_channels": [16, 32, 64, 128], "stackwise_depth": [1, 2, 2, 1]}
TINY_NET = {"stackwise_channels": [4, 6], "stackwise_depth": [1, 1]}

REFERENCES = Path(__file__).parent / "golden" / "references"
needs_golden = pytest.mark.skipif(
    not REFERENCES.is_dir(), reason=f"{REFERENCES} is missing: it is part of the repository"
)
# Data that are not part of the repository: real weights and photographs.
SHARED = Path(__file__).resolve().parents[2] / "shared"
NANO = SHARED / "golden" / "nano_real"
needs_nano = pytest.mark.skipif(
    not NANO.is_dir(), reason=f"the official YOLOX-nano weights and COCO images are not at {NANO}"
)


def _unpacked_references():
    """Return a temporary copy of the references with their model files unpacked."""
    folder = Path(tempfile.mkdtemp(prefix="references-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if REFERENCES.is_dir():
        ignored = shutil.ignore_patterns("*.xz")
        shutil.copytree(REFERENCES, folder, ignore=ignored, dirs_exist_ok=True)
        with tarfile.open(REFERENCES / "models.tar.xz") as archive:
            archive.extractall(folder, filter="data")
    return folder


GOLDEN = _unpacked_references()

needs_channels_first = pytest.mark.skipif(
    keras.backend.backend() == "tensorflow",
    reason="TensorFlow has no channels-first convolutions on processors",
)


def to_numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def relative_error(value, reference):
    """Maximum absolute error, relative to the largest reference value."""
    value, reference = to_numpy(value), np.asarray(reference)
    assert value.shape == reference.shape
    return float(np.abs(value - reference).max() / np.abs(reference).max())


def randomize(model, seed=0):
    """Give every weight, batch-norm statistics included, a value that matters."""
    rng = np.random.default_rng(seed)
    for variable in model.weights:
        shape = tuple(variable.shape)
        if variable.name == "kernel":
            variable.assign(rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1])))
        elif variable.name in ("gamma", "moving_variance"):
            variable.assign(rng.uniform(0.5, 1.5, shape))
        else:
            variable.assign(rng.normal(0, 0.2, shape))
    return model


def assert_same_weights(a, b):
    assert [v.path for v in a.weights] == [v.path for v in b.weights]
    for x, y in zip(a.weights, b.weights, strict=True):
        np.testing.assert_array_equal(to_numpy(x), to_numpy(y))


def run_command(*arguments):
    """Run a command of the command line in this process, on a terminal of 200 columns."""
    return CliRunner().invoke(app, list(map(str, arguments)), env={"COLUMNS": "200"})


def run_python(code, *args, backend=None, check=True):
    """Run code in a fresh process."""
    env = {**os.environ, "KERAS_BACKEND": backend or keras.backend.backend()}
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, args)],
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    if check:
        assert done.returncode == 0, done.stderr[-3000:]
    return done
