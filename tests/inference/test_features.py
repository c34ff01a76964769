"""Features of photos, as the command line writes them."""

import json
import os
import signal
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.images import find_images, read_image
from cspdarknet.models import CSPDarkNetBackbone
from cspdarknet.visualize import feature_picture, pca_colors
from support import TINY_NET, randomize, relative_error, to_numpy


@pytest.fixture
def preset(tmp_path):
    model = randomize(CSPDarkNetBackbone(**TINY_NET, include_rescaling=True))
    model.save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.png", "more/a.jpg"):
        pixels = rng.integers(0, 255, (24, 40, 3), "uint8")
        Image.fromarray(pixels).save(folder / name)
    return folder


def run(*args):
    return CliRunner().invoke(app, ["features", *map(str, args)])


def test_a_folder(preset, photos, tmp_path):
    done = run(photos, "--preset", preset, "--levels", "all", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "3 of 3 photos" in done.output
    names = sorted(str(p.relative_to(tmp_path / "out")) for p in (tmp_path / "out").rglob("*.npz"))
    assert names == ["a.jpg.npz", "b.png.npz", "more/a.jpg.npz"]
    model = CSPDarkNetBackbone.from_preset(preset).feature_pyramid(["P2", "P3"])
    expected = model(read_image(photos / "b.png")[None].astype("float32"))
    with np.load(tmp_path / "out" / "b.png.npz") as found:
        assert sorted(found) == ["P2", "P3", "vector"]
        for level, value in expected.items():
            assert relative_error(found[level], to_numpy(value)[0]) <= 1e-5
        assert relative_error(found["vector"], to_numpy(expected["P3"]).mean((0, 1, 2))) <= 1e-5


@pytest.mark.one_backend
def test_safetensors_and_pictures(preset, photos, tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy")
    out = tmp_path / "out"
    options = ("--levels", "P3,P2", "--format", "safetensors", "--picture", "--out", out)
    done = run(photos / "a.jpg", "--preset", preset, *options)
    assert done.exit_code == 0, done.output
    assert numpy_files.load_file(out / "a.jpg.safetensors")["P2"].shape == (6, 10, 4)
    with Image.open(out / "a.jpg.png") as picture:
        assert picture.width > 3 * 360


@pytest.mark.one_backend
def test_weights_file(preset, photos, tmp_path):
    weights = preset / "model.weights.h5"
    done = run(photos, "--preset", preset, "--weights", weights, "--out", tmp_path / "a",
               "--levels", "P3")  # fmt: skip
    assert done.exit_code == 0, done.output
    run(photos, "--preset", preset, "--out", tmp_path / "b", "--levels", "P3")
    with np.load(tmp_path / "a/a.jpg.npz") as a, np.load(tmp_path / "b/a.jpg.npz") as b:
        np.testing.assert_array_equal(a["P3"], b["P3"])


@pytest.mark.one_backend
def test_unreadable_files_are_reported_and_the_rest_is_done(preset, photos, tmp_path):
    (photos / "broken.jpg").write_bytes(b"\xff\xd8\xff oops")
    done = run(photos, "--preset", preset, "--levels", "P3", "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "3 of 4 photos" in done.output
    assert "broken.jpg" in done.output.replace("\n", "")
    assert len(list((tmp_path / "out").rglob("*.npz"))) == 3


@pytest.mark.one_backend
def test_a_second_run_keeps_what_is_there(preset, photos, tmp_path):
    args = (photos, "--preset", preset, "--levels", "P3", "--out", tmp_path / "out")
    run(*args)
    (tmp_path / "out" / "b.png.npz").unlink()
    before = (tmp_path / "out" / "a.jpg.npz").stat().st_mtime_ns
    done = run(*args)
    assert "1 of 3 photos" in done.output
    assert "2 kept" in done.output
    assert (tmp_path / "out" / "a.jpg.npz").stat().st_mtime_ns == before
    # A photo that changed is done again.
    later = time.time() + 10
    os.utime(photos / "a.jpg", (later, later))
    assert "1 of 3 photos" in run(*args).output


@pytest.mark.one_backend
def test_results_of_other_settings_are_not_mixed(preset, photos, tmp_path):
    args = (photos, "--preset", preset, "--out", tmp_path / "out")
    assert run(*args, "--levels", "P3").exit_code == 0
    for other in (("--levels", "P2"), ("--levels", "P3", "--size", "16")):
        done = run(*args, *other)
        assert isinstance(done.exception, ValueError)
        assert "other settings" in str(done.exception)


@pytest.mark.one_backend
def test_clear_errors(preset, photos, tmp_path):
    out = ("--out", tmp_path / "out")
    for args, message in [
        ((tmp_path / "none", "--preset", preset), "no file or folder"),
        ((tmp_path / "preset", "--preset", preset), "holds no photo"),
        ((photos, "--preset", "csp_darknet_huge"), "Did you mean"),
        ((photos, "--preset", preset, "--levels", "P9"), "levels are P2, P3"),
        ((photos, "--preset", preset, "--levels", "P2", "--format", "csv"), "npz"),
        ((photos, "--preset", preset, "--levels", "P2", "--size", "-1"), "0 or more"),
        ((photos / "a.jpg", photos / "more", "--preset", preset), "same result"),
    ]:
        done = run(*args, *out)
        assert isinstance(done.exception, ValueError), done.output
        assert message in str(done.exception)


@pytest.mark.one_backend
def test_the_same_photo_twice_is_done_once(photos):
    assert len(find_images([photos / "a.jpg", photos / "a.jpg"])) == 1


COMMAND = [sys.executable, "-m", "cspdarknet", "features"]


def _finished(out):
    """Return the whole files: a file that is being written has a hidden name."""
    return list(out.glob("[!.]*.npz"))


@pytest.mark.one_backend
def test_interrupted_and_resumed(preset, tmp_path):
    """Stop a real process half-way, then run the same command again."""
    folder, out = tmp_path / "many", tmp_path / "out"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (240, 320, 3), "uint8")
    Image.fromarray(pixels).save(folder / "000.bmp")
    total = 1000  # so many that the process cannot be done before it is noticed
    for i in range(1, total):
        os.link(folder / "000.bmp", folder / f"{i:03}.bmp")
    command = [*COMMAND, str(folder), "--preset", str(preset), "--levels", "P2", "--out", str(out)]
    environment = {**os.environ, "KERAS_BACKEND": keras.backend.backend()}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment)
    deadline = time.monotonic() + 240
    while len(_finished(out)) < 3 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=120)[0]
    assert process.returncode == 130, output
    assert "Run the same command again" in output
    first = {path: path.stat().st_mtime_ns for path in _finished(out)}
    assert 3 <= len(first) < total
    assert not list(out.glob(".part-*"))
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(first)} kept" in done.stdout
    assert len(_finished(out)) == total
    assert all(path.stat().st_mtime_ns == time_ns for path, time_ns in first.items())


@pytest.mark.one_backend
def test_errors_of_the_program_are_one_line():
    done = subprocess.run(
        [*COMMAND, "nowhere", "--out", "x"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Error: There is no file or folder nowhere." in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.one_backend
def test_presets_table():
    done = CliRunner().invoke(app, ["presets"], env={"COLUMNS": "100"})
    for name in CSPDarkNetBackbone.presets:
        assert name in done.output
    assert "56.84M" in done.output


def test_info():
    done = CliRunner().invoke(app, ["info"])
    assert keras.__version__ in done.output
    assert keras.backend.backend() in done.output


@pytest.mark.one_backend
class TestPictures:
    def test_two_regions_get_two_colors(self):
        features = np.zeros((6, 8, 5))
        features[:, 4:] = [3, -1, 0, 2, 1]
        colors = pca_colors(features)
        assert len(np.unique(colors[:, :4].reshape(-1, 3), axis=0)) == 1
        assert np.abs(colors[0, 0].astype(int) - colors[0, 7]).max() > 200

    def test_colors_do_not_depend_on_the_order_of_channels(self):
        features = np.random.default_rng(0).normal(size=(9, 7, 12)) * np.arange(1, 13)
        first = pca_colors(features)
        np.testing.assert_allclose(first, pca_colors(features[..., ::-1]), atol=1)

    @pytest.mark.parametrize("shape", [(1, 1, 8), (4, 4, 1), (3, 2, 2)])
    def test_small_maps(self, shape):
        assert pca_colors(np.ones(shape)).shape == (*shape[:2], 3)

    def test_sheet(self):
        photo = np.full((20, 40, 3), (250, 10, 10), "uint8")
        sheet = np.asarray(feature_picture(photo, {"P2": np.zeros((5, 10, 4))}))
        assert tuple(sheet[100, 100]) == (250, 10, 10)
        assert sheet.shape[1] == 3 * 10 + 2 * 360


@pytest.mark.one_backend
def test_settings_are_written_for_people(preset, photos, tmp_path):
    run(photos, "--preset", preset, "--levels", "P3", "--out", tmp_path / "out")
    settings = json.loads((tmp_path / "out" / "features.json").read_text())
    assert settings["levels"] == ["P3"]
    assert settings["longer_side"] == 640
    assert len(settings["weights_sha256"]) == 64


@pytest.mark.one_backend
class TestFolders:
    def test_results_are_not_taken_for_photos(self, preset, photos):
        args = (photos, "--preset", preset, "--levels", "P3", "--picture")
        out = photos / "results"
        for kept in (0, 3):
            done = run(*args, "--out", out)
            assert done.exit_code == 0, done.output
            assert f"{3 - kept} of 3 photos" in done.output

    def test_photos_are_never_overwritten(self, preset, photos):
        Image.new("RGB", (8, 8)).save(photos / "a.jpg.png")
        before = (photos / "a.jpg.png").read_bytes()
        for source in (photos, photos / "a.jpg"):
            done = run(source, "--preset", preset, "--levels", "P3", "--picture", "--out", photos)
            assert "holds photos" in str(done.exception)
        assert (photos / "a.jpg.png").read_bytes() == before

    def test_other_weights_are_told_apart(self, preset, photos, tmp_path):
        args = (photos, "--preset", preset, "--levels", "P3", "--out", tmp_path / "out")
        assert run(*args).exit_code == 0
        randomize(CSPDarkNetBackbone.from_preset(preset), seed=1).save_to_preset(preset)
        assert "other settings or weights" in str(run(*args).exception)

    def test_random_presets_repeat_themselves(self, photos, tmp_path):
        args = (photos, "--preset", "csp_darknet_tiny", "--levels", "P3", "--out", tmp_path / "out")
        assert "random weights" in run(*args).output
        assert "3 kept" in run(*args).output

    def test_empty_results_are_done_again(self, preset, photos, tmp_path):
        args = (photos, "--preset", preset, "--levels", "P3", "--out", tmp_path / "out")
        run(*args)
        (tmp_path / "out" / "b.png.npz").write_bytes(b"")
        assert "1 of 3 photos" in run(*args).output

    def test_damaged_settings(self, preset, photos, tmp_path):
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "features.json").write_text("{")
        done = run(photos, "--preset", preset, "--levels", "P3", "--out", tmp_path / "out")
        assert "features.json is damaged" in str(done.exception)

    def test_names_with_brackets_are_shown_as_they_are(self, preset, photos, tmp_path):
        (photos / "[red]bad[").mkdir()
        (photos / "[red]bad[" / "].jpg").write_bytes(b"no photo")
        done = run(photos, "--preset", preset, "--levels", "P3", "--out", tmp_path / "o[/b]")
        assert done.exit_code == 1
        assert "[red]bad[/].jpg: not an image" in done.output

    def test_a_name_too_long_fails_alone(self, preset, photos, tmp_path):
        Image.new("RGB", (8, 8)).save(photos / f"{'x' * 248}.png")
        done = run(photos, "--preset", preset, "--levels", "P3", "--out", tmp_path / "out")
        assert done.exit_code == 1
        assert "3 of 4 photos" in done.output

    def test_one_source_needs_no_list(self, photos):
        assert len(find_images(photos)) == len(find_images(str(photos))) == 3
