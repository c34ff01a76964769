"""`cspdarknet predict`."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from support import TINY_NET, randomize, run_command

pytestmark = pytest.mark.one_backend

NAMES = ("blue", "green", "red")


@pytest.fixture(scope="module")
def classifier():
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    return randomize(ImageClassifier(backbone, 3, class_names=NAMES, image_size=32))


@pytest.fixture
def preset(classifier, tmp_path):
    classifier.save_to_preset(tmp_path / "preset")
    return tmp_path / "preset"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for name in NAMES:
        Image.new("RGB", (48, 40), name).save(tmp_path / f"images/{name}.png")
    return tmp_path / "images"


def test_results_as_csv_and_json(preset, classifier, folder, tmp_path):
    options = ("--top", 2, "--runtime", "keras")
    result = run_command("predict", preset, folder, "--out", tmp_path / "a.csv", *options)
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    assert list(rows[0]) == ["image", "rank", "class", "probability"]
    assert [row["rank"] for row in rows] == ["1", "2"] * 3
    for row in rows[::2]:
        pixels = np.asarray(Image.open(row["image"]).resize((32, 32)))  # of one color
        probabilities = classifier.predict(pixels[None].astype("float32"), verbose=0)[0]
        assert row["class"] == NAMES[probabilities.argmax()]
        assert float(row["probability"]) == pytest.approx(probabilities.max(), abs=1e-5)
    run_command("predict", preset, folder, "--out", tmp_path / "a.json", *options)
    entries = json.loads((tmp_path / "a.json").read_text())
    assert [entry["image"] for entry in entries] == [row["image"] for row in rows[::2]]
    for entry, row in zip(entries, rows[::2], strict=True):
        assert entry["classes"][0]["name"] == row["class"]
        assert entry["classes"][0]["probability"] == pytest.approx(
            float(row["probability"]), abs=1e-6
        )


def test_classes_of_a_multi_label_classifier(classifier, folder, tmp_path):
    """All that reach their thresholds; an image without one has a row, too."""
    options = {"class_names": NAMES, "image_size": 32, "labels": "multi"}
    model = ImageClassifier(classifier.backbone, 3, score_threshold=(0.0, 1.0, 0.0), **options)
    model.save_to_preset(tmp_path / "multi")
    image, file = folder / "red.png", tmp_path / "a.csv"
    result = run_command("predict", tmp_path / "multi", image, "--out", file, "--runtime", "keras")
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader(file.open()))
    assert {row["class"] for row in rows} == {"blue", "red"}
    assert float(rows[0]["probability"]) >= float(rows[1]["probability"])
    model = ImageClassifier(classifier.backbone, 3, score_threshold=1.0, **options)
    model.save_to_preset(tmp_path / "none")
    result = run_command("predict", tmp_path / "none", image, "--out", file, "--runtime", "keras")
    assert "no class" in result.output
    assert list(csv.reader(file.open()))[1:] == [[str(image), "", "", ""]]


def test_results_on_the_standard_output(preset, folder, tmp_path):
    for kind in ("csv", "json"):
        first = run_command("predict", preset, folder, "--out", tmp_path / f"a.{kind}")
        assert f"Results written to {tmp_path / f'a.{kind}'}." in first.output
        result = run_command("predict", preset, folder, f"--{kind}", "-")
        assert result.stdout == (tmp_path / f"a.{kind}").read_text()
        assert "red.png" in result.stderr


def test_unreadable_images_are_reported(preset, folder):
    (folder / "bad[1].jpg").write_bytes(b"")
    result = run_command("predict", preset, folder)
    assert result.exit_code == 1
    assert "bad[1].jpg" in result.output
    assert "red.png" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no_such_preset", "{}"], "no_such_preset"),
        (["{p}", "{}", "--out", "a.txt"], "must end in .csv or .json"),
        (["{p}", "{}", "--out", "-"], "the standard output is `--csv -` or `--json -`"),
        (["{p}", "{}", "--json", "{p}/config.json"], "not the result of an earlier run"),
        (["{p}", "missing.jpg"], "missing.jpg"),
        (["yolox_nano_bccd", "{}"], "detection"),
        (["csp_darknet_tiny", "{}"], "features"),
    ],
)
def test_errors(preset, folder, arguments, message):
    given = [a.replace("{p}", str(preset)).replace("{}", str(folder)) for a in arguments]
    result = run_command("predict", *given)
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)


def test_an_exported_detector_is_refused(folder, tmp_path):
    pytest.importorskip("onnxruntime")
    run_command("export", "yolox_nano_bccd", tmp_path / "a.onnx", "--raw", "--image-size", 64)
    result = run_command("predict", tmp_path / "a.onnx", folder)
    assert "`detect` runs detectors" in str(result.exception)
