"""The examples of README and docstrings run, and say what they say."""

import doctest
import importlib
import json
import re
import shlex
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import cspdarknet
from cspdarknet.cli import app
from cspdarknet.models import (
    CSPDarkNetBackbone,
    CSPDarkNetTinyBackbone,
    ImageClassifier,
    YOLOXDetector,
)
from photo_sets import write_boxed_photos

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
MODULES = [
    "checkpoints.convert",
    "checkpoints.loading",
    "data.detection_augment",
    "data.detection_source",
    "data.find_boxed",
    "data.labelled",
    "deploy.exporting",
    "deploy.flops",
    "deploy.fusion",
    "deploy.onnx_model",
    "deploy.predictor",
    "deploy.quantization",
    "detect.detections",
    "detect.photos",
    "evaluate.average_precision",
    "evaluate.boxes",
    "evaluate.classes",
    "evaluate.matching",
    "features",
    "images",
    "layers",
    "models.aliases",
    "models.backbone",
    "models.classifier",
    "models.detector",
    "models.preset_model",
    "train.classifier",
    "train.optimizer",
    "reports.boxes",
    "train.recipe",
    "visualize",
    "yolox.letterbox",
]


def blocks(language, page=README):
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


def test_readme_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    ran = [block for block in blocks("python") if not block.startswith("# needs")]
    assert len(ran) >= 8
    for block in ran:
        exec(compile(block, "README.md", "exec"), names)
    assert names["output"].shape == (8, 7, 7, 384)
    assert names["features"]["P5"].shape == (1, 14, 21, 384)
    assert names["half"].compute_dtype == "bfloat16"


@pytest.mark.one_backend
def test_readme_commands():
    commands = re.findall(r"^cspdarknet (\w+)(.*)$", "\n".join(blocks("shell")), re.MULTILINE)
    assert {name for name, _ in commands} == {
        *(
            "presets",
            "info",
            "features",
            "convert",
            "verify",
            "train",
            "evaluate",
            "predict",
            "detect",
            "export",
            "benchmark",
        )
    }
    for name, rest in commands:
        help_text = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).output
        for option in re.findall(r"--\w+", rest.split("#")[0]):
            assert option in re.sub(r"\x1b\[[0-9;]*m", "", help_text)
    make = set(re.findall(r"make ([\w-]+)", "\n".join(blocks("shell"))))
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= make <= targets


@pytest.mark.one_backend
def test_readme_preset_table():
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+)M", README, re.MULTILINE)
    presets = CSPDarkNetBackbone.presets
    assert [name for name, _ in rows] == list(presets)
    for name, millions in rows:
        assert float(millions) == pytest.approx(presets[name]["metadata"]["params"] / 1e6, abs=5e-3)


@pytest.mark.one_backend
@pytest.mark.parametrize("name", ["README.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))])
def test_links_lead_somewhere(name):
    page = ROOT / name
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert link.startswith("https://") or (page.parent / link).exists(), link


@pytest.mark.one_backend
@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"cspdarknet.{name}")
    given = {
        "save": cspdarknet.checkpoints.save,
        "CSPDarkNetBackbone": CSPDarkNetBackbone,
        "CSPDarkNetTinyBackbone": CSPDarkNetTinyBackbone,
        "Console": Console,
        "Image": Image,
        "Path": Path,
        "ImageClassifier": ImageClassifier,
        "YOLOXDetector": YOLOXDetector,
        "cspdarknet": cspdarknet,
        "keras": keras,
        "np": np,
    }
    result = doctest.testmod(module, extraglobs=given, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.one_backend
def test_the_guide_to_fine_tuning(tmp_path, monkeypatch):
    """Its commands and its code, one after the other, with trainings of three epochs."""
    monkeypatch.chdir(tmp_path)
    colors = {"daisy": "white", "poppy": "red", "tulip": "yellow"}
    for name, color in colors.items():
        Path("photos", name).mkdir(parents=True)
        for i in range(8):
            Image.new("RGB", (80 + i, 64), color).save(Path("photos", name, f"{i}.png"))
    shutil.copytree("photos", "photos_kept_apart")
    page = (ROOT / "docs/fine-tune.md").read_text()
    names, ran = {}, []
    for language, block in re.findall(r"^```(shell|python)\n(.*?)^```", page, re.M | re.DOTALL):
        if language == "python":
            exec(compile(block, "fine-tune.md", "exec"), names)
            continue
        for command in re.findall(r"^cspdarknet (.*)$", block, re.MULTILINE):
            short = ["--epochs", "3"] if command.startswith("train") else []
            result = CliRunner().invoke(app, [*shlex.split(command), *short])
            assert result.exit_code == 0, (command, result.output, result.exception)
            ran.append(command.split()[0])
    assert ran == ["train", "evaluate", "predict", "train"]
    assert names["found"].readable.all()
    for row in re.findall(r"^\| (`[^|]*`) \|", page, re.MULTILINE):
        for name in re.findall(r"`([\w.]+(?:\.\w+|/))`", row):
            assert Path("my_run", name).exists(), name


@pytest.mark.one_backend
def test_the_guide_to_detection(tmp_path, monkeypatch):
    """Its commands and its code, with trainings cut down to what a test has time for."""
    monkeypatch.chdir(tmp_path)
    write_boxed_photos(Path("photos"), count=6)
    shutil.copytree("photos/images", "smears")
    Path("smears/0.png").rename("smears/0.jpg")  # the content counts
    page = (ROOT / "docs/detect.md").read_text()
    names, ran = {}, []
    for language, block in re.findall(r"^```(shell|python)\n(.*?)^```", page, re.M | re.DOTALL):
        if language == "python":
            if not block.startswith("# needs"):
                exec(compile(block, "detect.md", "exec"), names)
            continue
        for command in re.findall(r"^cspdarknet (.*)$", block, re.MULTILINE):
            short = ["--epochs", "3", "--image-size", "64"] if command.startswith("train") else []
            result = CliRunner().invoke(app, [*shlex.split(command), *short])
            assert result.exit_code == 0, (command, result.output, result.exception)
            ran.append(command.split()[0])
    assert ran == ["detect", "train", "evaluate", "detect", "train"]
    assert names["boxes"].shape == (1, 50, 4)
    assert json.loads(Path("cells.json").read_text())["images"]
    assert YOLOXDetector.from_preset("my_detector/best").class_names == ("blue", "red")


@pytest.mark.one_backend
def test_the_guide_to_deployment(tmp_path, monkeypatch):
    """Its commands and its code, one after the other."""
    monkeypatch.chdir(tmp_path)
    write_boxed_photos(Path("data"), count=4)
    shutil.copytree("data/images", "smears")
    shutil.copytree("data/images", "photos")
    Path("photos/0.png").rename("photos/0.jpg")
    page = (ROOT / "docs/deploy.md").read_text()
    names, ran = {}, []
    for language, block in re.findall(r"^```(shell|python)\n(.*?)^```", page, re.M | re.DOTALL):
        if language == "python":
            exec(compile(block, "deploy.md", "exec"), names)
            continue
        for command in re.findall(r"^cspdarknet ([^#\n]*)", block, re.MULTILINE):
            result = CliRunner().invoke(app, shlex.split(command))
            assert result.exit_code == 0, (command, result.output, result.exception)
            ran.append(command.split()[0])
    assert ran == ["export"] * 3
    assert Path("cells.bin").exists()
    assert names["exported"].difference.relative < 1e-4
    assert len(names["fused"].layers) < 0.5 * len(names["classifier"].backbone.layers)


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about tf.distribute")
def test_the_example_of_tf_distribute():
    import tensorflow as tf

    (block,) = blocks("python", (ROOT / "docs/scale.md").read_text())
    images = np.random.default_rng(0).uniform(0, 255, (64, 32, 32, 3)).astype("float32")
    names = {"tf": tf, "ImageClassifier": ImageClassifier, "images": images}
    exec(compile(block, "scale.md", "exec"), {**names, "labels": np.arange(64) % 3})


@pytest.mark.one_backend
@pytest.mark.parametrize("name", ["slurm.sh", "kubernetes.yaml"])
def test_cluster_files_name_real_options(name):
    text = (ROOT / "examples/cluster" / name).read_text()
    (command,) = re.findall(r"cspdarknet train (.*?)(?:\n {10}\w|\Z)", text, re.DOTALL)
    help_text = CliRunner().invoke(app, ["train", "--help"], env={"COLUMNS": "200"}).output
    options = re.findall(r"--[\w-]+", command)
    assert "--join" in options
    for option in options:
        assert option in re.sub(r"\x1b\[[0-9;]*m", "", help_text)
