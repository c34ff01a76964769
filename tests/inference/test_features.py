"""`FeatureExtractor`: feature maps of image files, in a folder."""

import errno
import json
import os
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from cspdarknet.images import ImageFile, find_images, read_image
from cspdarknet.inference import FeatureExtractor
from cspdarknet.inference.features import SETTINGS_FILE
from cspdarknet.models import ImageClassifier
from support import randomize, relative_error, to_numpy

pytestmark = pytest.mark.one_backend


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "images"
    (folder / "more").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.png", "more/a.jpg"):
        pixels = rng.integers(0, 255, (24, 40, 3), "uint8")
        Image.fromarray(pixels).save(folder / name)
    return folder


@pytest.fixture
def extract(folder, backbone, tmp_path):
    """Runs an extractor on the folder, or on other sources, and returns the states."""

    def run(model=backbone, sources=folder, out=tmp_path / "out", **options):
        options = {"runtime": "keras", "levels": ["P3"], **options}
        files = find_images(sources, out, SETTINGS_FILE)
        return [result.state for result in FeatureExtractor(model, out, **options).run(files)]

    return run


def stored(path):
    with np.load(path) as arrays:
        return dict(arrays)


def test_files_and_their_arrays(extract, backbone, folder, tmp_path):
    out = tmp_path / "out"
    assert extract(levels=["P2", "P4"]) == ["done"] * 3
    names = sorted(str(path.relative_to(out)) for path in out.rglob("*.npz"))
    assert names == ["a.jpg.npz", "b.png.npz", "more/a.jpg.npz"]
    expected = backbone.feature_pyramid(["P2", "P4"])(
        read_image(folder / "b.png")[None].astype("float32")
    )
    arrays = stored(out / "b.png.npz")
    assert sorted(arrays) == ["P2", "P4", "vector"]
    for level, value in expected.items():
        assert relative_error(arrays[level], to_numpy(value)[0]) <= 1e-5
    assert relative_error(arrays["vector"], to_numpy(expected["P4"]).mean((0, 1, 2))) <= 1e-5
    settings = json.loads((out / SETTINGS_FILE).read_text())
    assert [len(settings.pop(f"{name}_sha256")) for name in ("weights", "config")] == [64, 64]
    assert settings == {"levels": ["P2", "P4"], "longer_side": 640, "precision": "float32"}


# Models.


def test_all_ways_to_name_a_model_give_the_same(extract, backbone, tmp_path):
    backbone.save_to_preset(tmp_path / "preset")
    ImageClassifier(backbone, 3).save_to_preset(tmp_path / "classifier")
    models = {
        "a backbone": (backbone, ["P3", "P4"]),
        "its default levels": (backbone, None),
        "a pyramid": (backbone.feature_pyramid(["P3", "P4"]), None),
        "a classifier": (ImageClassifier(backbone, 3), ["P3", "P4"]),
        "a preset": (str(tmp_path / "preset"), ["P3", "P4"]),
        "a preset of a classifier": (tmp_path / "classifier", None),
    }
    results = []
    for name, (model, levels) in models.items():
        assert extract(model, out=tmp_path / name, levels=levels) == ["done"] * 3
        results.append(stored(tmp_path / name / "b.png.npz"))
    for arrays in results:
        assert sorted(arrays) == ["P3", "P4", "vector"]
        for level, values in arrays.items():
            np.testing.assert_allclose(values, results[0][level], atol=1e-6)


def test_a_built_in_preset_by_name(folder, tmp_path):
    extractor = FeatureExtractor("csp_darknet_tiny", tmp_path / "out", runtime="keras")
    assert extractor.predictor.output_names == ["P3", "P4", "P5"]


def test_an_exported_file(extract, backbone, onnx_file, folder, tmp_path):
    model = backbone.feature_pyramid(["P2", "P4"])
    file = onnx_file(model)
    options = {"runtime": "onnxruntime", "levels": None}
    assert extract(file, **options) == ["done"] * 3
    expected = model(read_image(folder / "b.png")[None].astype("float32"))
    arrays = stored(tmp_path / "out/b.png.npz")
    assert relative_error(arrays["P2"], to_numpy(expected["P2"])[0]) <= 1e-4
    assert relative_error(arrays["vector"], to_numpy(expected["P4"]).mean((0, 1, 2))) <= 1e-4
    (tmp_path / "out/b.png.npz").unlink()
    assert extract(file, **options) == ["kept", "done", "kept"]
    with pytest.raises(ValueError, match="`levels` must be left out for an exported file"):
        extract(file, runtime="onnxruntime", levels=["P2"])


def test_a_file_for_images_of_one_size_gets_center_crops(extract, backbone, onnx_file, tmp_path):
    file = onnx_file(backbone.feature_pyramid(["P2"]), image_size=32)
    assert extract(file, runtime="onnxruntime", levels=None) == ["done"] * 3
    assert stored(tmp_path / "out/b.png.npz")["P2"].shape == (8, 8, 8)


def test_files_for_other_tasks_are_refused(extract, detector, onnx_file):
    with pytest.raises(ValueError, match=r"those of a backbone: .*a model for detection"):
        extract(onnx_file(detector), runtime="onnxruntime", levels=None)


def test_classifiers_on_other_backbones_are_refused(tmp_path):
    images = keras.Input((32, 32, 3))
    other = keras.Model(images, keras.layers.Conv2D(4, 3)(images))
    classifier = ImageClassifier(other, 2)
    with pytest.raises(ValueError, match=r"those of a backbone: .*a model for classification"):
        FeatureExtractor(classifier, tmp_path / "out", runtime="keras")


# Pictures and formats.


def test_safetensors(extract, tmp_path):
    numpy_files = pytest.importorskip("safetensors.numpy")
    extract(levels=["P3", "P2"], file_format="safetensors")
    assert numpy_files.load_file(tmp_path / "out/a.jpg.safetensors")["P2"].shape == (6, 10, 8)


@pytest.mark.parametrize("picture", [True, False])
def test_an_image_is_decoded_once(extract, folder, opened, tmp_path, picture):
    assert extract(picture=picture) == ["done"] * 3
    assert sorted(opened) == [file.path for file in find_images(folder)]
    pictures = list((tmp_path / "out").rglob("*.png"))
    assert len(pictures) == (3 if picture else 0)
    for path in pictures:
        assert Image.open(path).width == 3 * 10 + 2 * 360


def test_the_picture_shows_what_the_model_gets(extract, backbone, folder, tmp_path):
    """The center crop of a model for images of one size."""
    from cspdarknet.models import CSPDarkNetBackbone

    square = CSPDarkNetBackbone.from_config(
        {**backbone.get_config(), "input_shape": (32, 32, 3), "name": "square"}
    )
    Image.fromarray(np.full((24, 40, 3), (9, 200, 9), "uint8")).save(folder / "b.png")
    extract(square, [folder / "b.png"], picture=True)
    sheet = np.asarray(Image.open(tmp_path / "out/b.png.png"))
    assert (sheet[10:370, 10:370] == (9, 200, 9)).all()  # a square panel


# Repeated and interrupted runs.


def test_a_second_run_keeps_what_is_there(extract, folder, tmp_path):
    extract()
    (tmp_path / "out/b.png.npz").unlink()
    before = (tmp_path / "out/a.jpg.npz").stat().st_mtime_ns
    assert extract() == ["kept", "done", "kept"]
    assert (tmp_path / "out/a.jpg.npz").stat().st_mtime_ns == before
    later = before / 1e9 + 10
    os.utime(folder / "a.jpg", (later, later))  # it has changed
    assert extract() == ["done", "kept", "kept"]
    (tmp_path / "out/more/a.jpg.npz").write_bytes(b"")  # an empty result
    assert extract()[2] == "done"


def test_results_are_as_old_as_the_oldest_of_their_files(extract, folder, tmp_path):
    extract(picture=True)
    earlier = (folder / "a.jpg").stat().st_mtime - 10
    os.utime(tmp_path / "out/a.jpg.npz", (earlier, earlier))  # its picture is newer
    assert extract(picture=True) == ["done", "kept", "kept"]


def test_an_interrupted_run_leaves_whole_files(folder, backbone, tmp_path):
    out = tmp_path / "out"
    files = [ImageFile(folder / "b.png", Path(f"{i}.png")) for i in range(40)]
    extractor = FeatureExtractor(backbone, out, levels=["P2"], runtime="keras")
    results = extractor.run(files)
    first = [next(results) for _ in range(3)]
    results.close()  # what Ctrl-C does between two results
    assert [result.state for result in first] == ["done"] * 3
    written = sorted(out.glob("*.npz"))
    assert 3 <= len(written) < 40
    assert sorted(out.glob(".*")) == []
    assert all("P2" in stored(path) for path in written)
    states = [result.state for result in extractor.run(files)]
    assert states.count("kept") == len(written)
    assert states.count("done") == 40 - len(written)


def test_results_of_other_settings_or_weights_are_not_mixed(extract, backbone):
    extract()
    other = randomize(type(backbone).from_config(backbone.get_config()), seed=1)
    for change in ({"levels": ["P2"]}, {"longer_side": 16}, {"model": other}):
        with pytest.raises(ValueError, match="other settings or weights"):
            extract(**change)


@pytest.mark.parametrize("name", ["a.jpg.npz", "more/a.jpg.png"])
def test_files_that_are_not_results_are_neither_kept_nor_replaced(extract, tmp_path, name):
    path = tmp_path / "out" / name
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    for _ in range(2):
        with pytest.raises(ValueError, match=f"{name} exists, and is not the result"):
            extract(picture=True)
    assert [p for p in (tmp_path / "out").rglob("*") if p.is_file()] == [path]


def test_damaged_settings(extract, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / SETTINGS_FILE).write_text("{")
    with pytest.raises(ValueError, match=r"features\.json is not a JSON file"):
        extract()


def test_results_are_not_taken_for_images(extract, folder):
    for state in ("done", "kept"):
        assert extract(out=folder / "results", picture=True) == [state] * 3


# Failures.


def test_unreadable_files_do_not_stop_a_run(extract, folder, tmp_path):
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff oops")
    Image.new("RGB", (8, 8)).save(folder / f"{'x' * 248}.png")  # too long with another suffix
    assert extract() == ["done", "done", "failed", "done", "failed"]
    assert len(list((tmp_path / "out").rglob("*.npz"))) == 3


def test_a_full_disk_stops_a_run(extract, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(FeatureExtractor, "_write_arrays", full)
    with pytest.raises(OSError, match="No space left"):
        extract()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"levels": ["P9"]}, "'P2', 'P3', 'P4'"),
        ({"file_format": "csv"}, "'npz', 'safetensors'"),
        ({"longer_side": -1}, "`longer_side` must be an integer, at least 0"),
    ],
)
def test_invalid_arguments(extract, options, message):
    with pytest.raises(ValueError, match=message):
        extract(**options)


def test_the_same_weights_with_other_arguments_are_another_model(extract, backbone):
    other = type(backbone).from_config({**backbone.get_config(), "activation": "relu"})
    other.set_weights(backbone.get_weights())
    assert extract(levels=["P4"]) == ["done"] * 3
    with pytest.raises(ValueError, match="config_sha256"):
        extract(other, levels=["P4"])
    # A pyramid has no arguments to compare.
    assert extract(backbone.feature_pyramid(["P4"]), levels=None) == ["kept"] * 3
