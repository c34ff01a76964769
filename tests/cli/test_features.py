"""`cspdarknet features`."""

import json

import numpy as np
import pytest
from PIL import Image

from cspdarknet.models import CSPDarkNetBackbone
from forked import run_forked
from support import TINY_NET, randomize, run_command

pytestmark = pytest.mark.one_backend

# Ends itself by Ctrl-C when the extractor asks about the fourth image.
INTERRUPTED = """
import signal, sys
from cspdarknet import cli
from cspdarknet.inference.features import FeatureExtractor

asked = []
is_current = FeatureExtractor._is_current

def interrupt(self, file):
    asked.append(file)
    if len(asked) == 4:
        signal.raise_signal(signal.SIGINT)  # in this thread, at once
    return is_current(self, file)

FeatureExtractor._is_current = interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)  # which a job in the background lacks
sys.argv[1:] = ["features", *sys.argv[1:]]
cli.main()
"""


@pytest.fixture
def preset(tmp_path):
    model = randomize(CSPDarkNetBackbone(**TINY_NET, include_rescaling=True))
    model.save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


@pytest.fixture
def folder(tmp_path):
    """Eight images."""
    (tmp_path / "images").mkdir()
    for i in range(8):
        Image.new("RGB", (24, 16), (30 * i, 90, 200)).save(tmp_path / f"images/{i}.png")
    return tmp_path / "images"


def test_a_folder(preset, folder, tmp_path):
    out = tmp_path / "out"
    command = ("features", preset, folder, "--out", out, "--levels", "all", "--picture")
    result = run_command(*command)
    assert result.exit_code == 0, result.output
    assert f"Features of 8 of 8 images written to {out}." in result.output
    with np.load(out / "0.png.npz") as arrays:
        assert sorted(arrays) == ["P2", "P3", "vector"]
    assert (out / "0.png.png").exists()
    assert json.loads((out / "features.json").read_text())["longer_side"] == 640
    assert "8 kept" in run_command(*command).output


def test_levels_by_default(preset, folder, tmp_path):
    """P3, P4 and P5, of which this backbone has P3 only."""
    result = run_command("features", preset, folder, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    with np.load(tmp_path / "out" / "0.png.npz") as arrays:
        assert list(arrays) == ["P3", "vector"]


def test_interrupted_and_continued(preset, folder, tmp_path):
    out = tmp_path / "out"
    arguments = (preset, folder, "--out", out, "--levels", "P2")
    ended = run_forked(INTERRUPTED, *arguments)
    assert ended.returncode == 130, ended.stderr
    assert "Run the same command again to continue." in ended.stdout
    written = sorted(out.glob("*.npz"))
    assert len(written) <= 3
    assert sorted(out.glob(".*")) == []
    result = run_command("features", *arguments)
    assert result.exit_code == 0, result.output
    assert f"{8 - len(written)} of 8 images" in result.output
    assert len(list(out.glob("*.npz"))) == 8


def test_random_weights_are_named_and_repeat(folder, tmp_path):
    command = ("features", "csp_darknet_tiny", folder / "0.png", "--out", tmp_path / "out")
    assert "random weights" in run_command(*command).output
    assert "1 kept" in run_command(*command).output


def test_a_weight_file_for_the_architecture_of_a_preset(preset, folder, tmp_path):
    weights = preset / "model.weights.h5"
    command = ("features", preset, folder, "--levels", "P2", "--out")
    for out, options in (("own", ()), ("given", ("--weights", weights))):
        assert run_command(*command, tmp_path / out, *options).exit_code == 0
    own, given = (np.load(tmp_path / out / "3.png.npz")["P2"] for out in ("own", "given"))
    np.testing.assert_array_equal(own, given)


def test_unreadable_images_are_listed_as_they_are_named(preset, folder, tmp_path):
    (folder / "[red]bad[").mkdir()
    (folder / "[red]bad[" / "].jpg").write_bytes(b"not an image")
    result = run_command("features", preset, folder, "--out", tmp_path / "o[/b]", "--levels", "P2")
    assert result.exit_code == 1
    assert "[red]bad[/].jpg: not an image" in result.output
    assert "8 of 9 images" in result.output


def test_images_are_never_overwritten(preset, folder):
    Image.new("RGB", (8, 8)).save(folder / "0.png.png")
    before = (folder / "0.png.png").read_bytes()
    for source in (folder, folder / "0.png"):
        result = run_command("features", preset, source, "--picture", "--out", folder)
        assert "choose another folder" in str(result.exception)
    assert (folder / "0.png.png").read_bytes() == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--levels", "P9"), "P9"),
        (("--levels", "P2", "--longer-side", "-1"), "longer_side"),
    ],
)
def test_invalid_options(preset, folder, tmp_path, options, message):
    result = run_command("features", preset, folder, "--out", tmp_path / "out", *options)
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)


def test_options_of_a_backbone_are_refused_for_exported_files(preset, folder, tmp_path):
    pytest.importorskip("onnxruntime")
    exported = run_command("export", preset, tmp_path / "a.onnx", "--levels", "P2")
    assert exported.exit_code == 0, exported.output
    command = ("features", tmp_path / "a.onnx", folder, "--out", tmp_path / "out")
    assert run_command(*command).exit_code == 0
    assert "leave the options out" in str(run_command(*command, "--levels", "P2").exception)
