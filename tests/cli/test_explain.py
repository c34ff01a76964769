"""`cspdarknet explain`, `inspect` and `compare`."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from image_datasets import COLORS, write_class_folders
from support import randomize, run_command, to_numpy

pytestmark = pytest.mark.one_backend


def write_classifier(folder, red):
    """A preset that never or always finds red."""
    backbone = CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True)
    model = ImageClassifier(backbone, 3, class_names=sorted(COLORS), image_size=32)
    bias = randomize(model).get_layer("predictions").bias
    bias.assign(np.add(to_numpy(bias), [0, 0, red]))
    model.save_to_preset(folder)
    return folder


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    return write_classifier(tmp_path_factory.mktemp("model") / "preset", red=-100)


@pytest.fixture
def folder(tmp_path):
    return write_class_folders(tmp_path / "photos", per_class=2)


def run(*command):
    result = run_command(*command)
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_explain(preset, folder, tmp_path):
    out = tmp_path / "out"
    command = ("explain", preset, folder, "--out", out, "--class", "red")
    text = run(*command, "--maps")
    assert text.count("grad-cam  P3") == 6
    assert "Pictures of 6 of 6 images" in text
    assert Image.open(out / "red/0.png.jpg").size == (2 * 370 + 10, 360 + 36)
    with np.load(out / "red/0.png.npz") as stored:
        assert stored["map"].shape == (32, 32)
    rows = json.loads((out / "explanations.json").read_text())
    assert {row["class_name"] for row in rows} == {"red"}
    # Again into the same folder, inside of the images, and with another method.
    run(*command, "--method", "occlusion", "--grid", "2")
    inside = ("explain", preset, folder, "--out", folder / "out")
    assert "6 of 6" in run(*inside)
    assert "6 of 6" in run(*inside)


def test_explain_names_what_it_leaves_out(preset, folder, tmp_path):
    (folder / "red/bad.png").write_bytes(b"not an image")
    result = run_command("explain", preset, folder, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "bad.png: not an image" in result.output
    assert "6 of 7 images" in result.output
    unknown = run_command("explain", preset, folder, "--out", tmp_path / "out", "--class", "pink")
    assert "blue, green, red" in str(unknown.exception)
    number = run_command("explain", preset, folder, "--out", tmp_path / "out", "--detection", "1")
    assert "for a model for classification" in str(number.exception)
    (tmp_path / "mine/blue").mkdir(parents=True)
    (tmp_path / "mine/blue/0.png.jpg").write_text("mine")
    other = run_command("explain", preset, folder, "--out", tmp_path / "mine")
    assert "is not the result of an earlier run" in str(other.exception)
    assert (tmp_path / "mine/blue/0.png.jpg").read_text() == "mine"


def test_inspect(preset, folder, tmp_path):
    out, numbers = tmp_path / "fields.png", tmp_path / "fields.json"
    text = run("inspect", preset, folder / "red/0.png", "--out", out, "--json", numbers)
    rows = [line.split() for line in text.splitlines() if line.startswith("P")][:2]
    assert [row[:3] for row in rows] == [["P2", "4", "4"], ["P3", "8", "6"]]
    levels = json.loads(numbers.read_text())["levels"]
    assert [f"{item['effective']}" for item in levels] == [row[-2] for row in rows]
    assert Image.open(out).width == 3 * 370 + 10
    missing = run_command("inspect", preset, folder / "no.png")
    assert "IMAGE must be an image file" in str(missing.exception)
    wrong = run_command("inspect", preset, folder / "red/0.png", "--out", tmp_path / "a.txt")
    assert "must end in" in str(wrong.exception)


def test_compare(preset, folder, tmp_path):
    other = write_classifier(tmp_path / "other", red=100)
    out = tmp_path / "out"
    text = run("compare", preset, other, folder, "--out", out)
    assert "McNemar's exact test p = " in text
    content = json.loads((out / "comparison.json").read_text())
    assert f"{content['models']['a']['accuracy']:.3f}" in text
    rows = list(csv.DictReader((out / "comparison.csv").open()))
    assert [row["predicted_b"] for row in rows] == ["red"] * 6
    assert content["models"]["b"]["accuracy"] == pytest.approx(1 / 3)
    assert content["different_images"] == 6
    assert (out / "differences.jpg").exists()
    same = run("compare", preset, preset, folder / "red", "--unlabeled", "--out", out)
    assert "100.0% of the classes agree; 0 of 2" in same
    assert not (out / "differences.jpg").exists()
    flat = run_command("compare", preset, other, folder / "red")
    assert "--unlabeled" in str(flat.exception)
