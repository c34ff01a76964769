"""Disks that are full or read-only: one line that says so, earlier files whole, nothing left."""

import contextlib
import errno
import subprocess

import numpy as np
import pytest
from PIL import Image

from cspdarknet._unfinished import WriteError
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector
from support import run_command, run_python
from training_runs import assert_same_run

pytestmark = pytest.mark.one_backend
resource = pytest.importorskip("resource")

SMALLEST = 200  # bytes: more than a message of the test runner, and less than any file of results


@contextlib.contextmanager
def files_up_to(size):
    """Let every larger file fail, as it would on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Presets of a backbone and a detector, and a folder of images."""
    folder = tmp_path_factory.mktemp("full")
    backbone = CSPDarkNetBackbone([8, 12, 16], [1, 1, 1], include_rescaling=True)
    backbone.save_to_preset(folder / "backbone")
    YOLOXDetector(backbone, 2, class_names=["a", "b"]).save_to_preset(folder / "detector")
    (folder / "images").mkdir()
    for i in range(3):
        pixels = np.random.default_rng(i).integers(0, 255, (64, 64, 3), "uint8")
        Image.fromarray(pixels).save(folder / f"images/{i}.png")
    return folder


def with_subprocess(*command):
    return pytest.param(*command, marks=pytest.mark.faults)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("a.weights.h5", "convert detector"),
        ("a.keras", "convert detector"),
        ("a.safetensors", "convert detector"),
        ("a.pth", "convert detector"),
        ("preset", "convert detector"),
        ("a.onnx", "export detector"),
        ("a.xml", "export detector"),
        with_subprocess("a.pt2", "export backbone"),
        with_subprocess("saved", "export backbone"),
        with_subprocess("a.tflite", "export backbone"),
        ("a.json", "detect detector images --score-threshold 0 --json"),
        ("a.csv", "detect detector images --score-threshold 0 --csv"),
    ],
)
def test_a_full_disk(name, command, folder, tmp_path):
    path = tmp_path / name
    is_replaced = name.startswith("a.") and name not in ("a.xml", "a.json", "a.csv")
    if is_replaced:
        path.write_text("an earlier file")
    before = list(tmp_path.iterdir())
    words = [folder / w if (folder / w).exists() else w for w in command.split()]
    with files_up_to(SMALLEST):
        result = run_command(*words, path)
    assert isinstance(result.exception, WriteError), result.output
    assert result.exception.errno == errno.EFBIG
    assert str(result.exception).startswith(f"{path} cannot be written (File too large)")
    assert list(tmp_path.iterdir()) == before
    assert not is_replaced or path.read_text() == "an earlier file"


def test_annotated_copies_end_at_the_first_file_that_does_not_fit(folder, tmp_path):
    out = tmp_path / "out"
    with files_up_to(SMALLEST):
        result = run_command("detect", folder / "detector", folder / "images", "--out", out)
    assert str(result.exception).startswith(f"{out / '0.png'} cannot be written (File too large)")
    assert [path.name for path in out.iterdir()] == [".detections"]


@pytest.mark.parametrize("file_format", ["npz", "safetensors"])
def test_features_end_at_the_first_file_that_does_not_fit(folder, tmp_path, file_format):
    command = ("features", folder / "backbone", folder / "images", "--out", tmp_path / "out")
    with files_up_to(1000):
        result = run_command(*command, "--format", file_format)
    assert isinstance(result.exception, WriteError)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["features.json"]
    assert run_command(*command, "--format", file_format).exit_code == 0


# Ends like a command, with the exit status of the interpreter, which HDF5 once crashed.
CONVERT = """
import resource, sys
from cspdarknet import cli
import cspdarknet.conversion
resource.setrlimit(resource.RLIMIT_FSIZE, (200, resource.RLIM_INFINITY))
sys.argv[1:] = ["convert", *sys.argv[1:]]
cli.main()
"""


def test_a_full_disk_is_one_line_and_no_crash_at_exit(folder, tmp_path):
    path = tmp_path / "a.weights.h5"
    done = run_python(CONVERT, folder / "detector", path, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"Error: {path} cannot be written")
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_training_continues_when_there_is_space_again(classification_run, tmp_path):
    run, out = classification_run, tmp_path / "run"
    with (
        files_up_to((run.path / "best/model.weights.h5").stat().st_size - 1),
        pytest.raises(WriteError, match=r"best cannot be written \(File too large\)"),
    ):
        run.train(out=out)
    assert not [path for path in out.iterdir() if path.name.startswith(".") and path.is_dir()]
    run.train(out=out, pictures=True)
    assert_same_run(run.path, out)


@pytest.fixture
def read_only(tmp_path):
    """A folder on a read-only disk. Permissions are no substitute: they do not bind the root."""
    path = tmp_path / "read_only"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro,size=1m", "tmpfs", path]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"a read-only disk needs the right to mount one: {error}")
    yield path
    subprocess.run(["umount", path], check=True)


def test_a_read_only_disk(folder, read_only):
    detector, images = folder / "detector", folder / "images"
    for command in (
        ("convert", detector, read_only / "a.keras"),
        ("convert", detector, read_only / "new/preset"),
        ("export", detector, read_only / "new/a.onnx"),
        ("export", detector, read_only / "a.xml"),
        ("features", folder / "backbone", images, "--out", read_only / "new"),
        ("detect", detector, images, "--out", read_only / "new"),
        ("detect", detector, images, "--json", read_only / "a.json"),
    ):
        result = run_command(*command)
        assert isinstance(result.exception, (WriteError, ValueError)), result.output
        assert "cannot be written (Read-only file system): choose" in str(result.exception)
        assert str(read_only) in str(result.exception)
