"""Signals that end a command: one line, the exit status of the signal, whole files."""

import os
import signal

import numpy as np
import pytest
from PIL import Image

from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector
from forked import run_forked

pytestmark = [
    pytest.mark.one_backend,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals"),
]

# Sends itself a signal when a function is called, and runs a command; no backend is needed.
SENDING = """
import functools, importlib, signal, sys
from cspdarknet import cli

number, module, name, *arguments = sys.argv[1:]
*owners, name = name.split(".")
owner = functools.reduce(getattr, owners, importlib.import_module(module))
function = getattr(owner, name)

def wrapper(*args, **kwargs):
    signal.raise_signal(int(number))
    return function(*args, **kwargs)

setattr(owner, name, wrapper)
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a job in the background lacks
sys.argv[1:] = arguments
cli.main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("signals")
    backbone = CSPDarkNetBackbone([8, 12, 16], [1, 1, 1], include_rescaling=True)
    YOLOXDetector(backbone, 2, image_size=64).save_to_preset(folder / "detector")
    Image.fromarray(np.zeros((64, 64, 3), "uint8")).save(folder / "a.png")
    return folder


def test_a_signal_in_the_middle_of_a_file(folder, tmp_path):
    path = tmp_path / "a.safetensors"
    path.write_text("an earlier file")
    moment = ("cspdarknet._files", "Path.replace")
    command = ("convert", folder / "detector", path)
    done = run_forked(SENDING, signal.SIGTERM.value, *moment, *command)
    assert done.returncode == 128 + signal.SIGTERM
    assert done.stderr.splitlines()[-1] == "Interrupted."
    assert "Traceback" not in done.stderr
    assert path.read_text() == "an earlier file"
    assert list(tmp_path.iterdir()) == [path]


def test_a_command_that_can_be_continued_says_so(folder, tmp_path):
    moment = ("cspdarknet.inference.features", "FeatureExtractor._known_result")
    command = ("features", folder / "detector", folder / "a.png", "--out", tmp_path / "out")
    done = run_forked(SENDING, signal.SIGHUP.value, *moment, *command)
    assert done.returncode == 128 + signal.SIGHUP
    assert done.stdout == "Interrupted. Run the same command again to continue.\n"
    assert "Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["features.json"]
