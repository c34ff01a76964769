"""The examples of README, guides and docstrings run, and what they state holds."""

import dataclasses
import doctest
import functools
import importlib
import importlib.util
import json
import re
import shlex
import shutil
from fractions import Fraction
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

import cspdarknet
from cspdarknet.cli import app
from cspdarknet.data import load_detection_dataset
from cspdarknet.inference.video import write_video
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.presets.measured import costs
from cspdarknet.presets.records import PRESETS
from cspdarknet.train import CLASSIFICATION_RECIPES, DETECTION_RECIPES, Phase
from fake_detector import paint
from image_datasets import write_class_folders, write_multi_label_dataset, write_yolo_dataset
from support import randomize

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = Path(cspdarknet.__file__).parent
README = (ROOT / "README.md").read_text()
GUIDES = sorted(ROOT.glob("docs/*.md"))
CARDS = sorted(PACKAGE.glob("presets/bundled/*/README.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "benchmarks/README.md"]
PAGES = [*PAGES, *GUIDES, *CARDS]
COMMAND = re.compile(r"^cspdarknet (data [\w-]+|\w+)((?:\\\n|[^#\n])*)", re.MULTILINE)
# Modules with an example in a docstring; one of them starts a process.
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text()
)
SLOW = "cspdarknet.train.batch_size"
MODULES = [pytest.param(name, marks=pytest.mark.slow) if name == SLOW else name for name in MODULES]
# Options for the trainings of a guide, to make them short: a recipe of one epoch for the first, and
# a tiny model for the others.
TRAININGS = [
    ("--recipe", "short.json"),
    ("--epochs", "3", "--image-size", "32", "--model", "tiny"),
    *[("--recipe", "short.json", "--model", "tiny")] * 2,
    ("--epochs", "1", "--image-size", "32", "--model", "tiny"),
]


def page_id(path):
    return str(path.relative_to(ROOT))


def blocks(language, page=README):
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.MULTILINE | re.DOTALL)


@functools.cache
def options_of(command):
    text = CliRunner().invoke(app, [*command.split(), "--help"], env={"COLUMNS": "200"}).output
    return set(re.findall(r"--[\w-]+", re.sub(r"\x1b\[[0-9;]*m", "", text)))


def run_guide(name, trainings=TRAININGS):
    """Run the commands and the code of a guide, one after the other.

    Args:
        name: of the file in docs/.
        trainings: options that are added to each training, in order.

    Returns:
        The names that the code defined, and the commands that ran.
    """
    page = (ROOT / "docs" / name).read_text()
    names, commands = {}, []
    trainings = iter(trainings)
    for language, block in re.findall(r"^```(shell|python)\n(.*?)^```", page, re.M | re.DOTALL):
        if block.startswith("# needs"):
            continue
        if language == "python":
            exec(compile(block, name, "exec"), names)
            continue
        for command, rest in COMMAND.findall(block):
            arguments = [*command.split(), *shlex.split(rest)]
            if command == "train":
                arguments += next(trainings)
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 0, (arguments, result.output, result.exception)
            commands.append(command)
    return names, commands


def tiny_backbone(**arguments):
    return CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=False, **arguments)


def write_short_recipe(recipe):
    short = dataclasses.replace(recipe, phases=(Phase(1, 32),))
    Path("short.json").write_text(json.dumps(short.to_json()))


def write_animals(folder):
    """Images with two numbers each."""
    folder.mkdir()
    rows = ["path,age,weight"]
    for i, name in enumerate(("rex", "tom", "kitty", "bello", "mimi", "hasso")):
        Image.new("RGB", (40, 48 + i), (40 * i, 20, 20)).save(folder / f"{name}.jpg")
        rows.append(f"{name}.jpg,{i / 2},{30 - i}")
    (folder / "animals.csv").write_text("\n".join(rows))


def test_readme_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    examples = [block for block in blocks("python") if not block.startswith("# needs")]
    assert len(examples) >= 8
    for block in examples:
        exec(compile(block, "README.md", "exec"), names)
    assert names["output"].shape == (8, 7, 7, 384)
    assert names["features"]["P5"].shape == (1, 14, 21, 384)
    assert names["half"].compute_dtype == "bfloat16"


@pytest.mark.one_backend
def test_readme_names_all_commands_and_real_targets_of_make():
    shell = "\n".join(blocks("shell"))
    commands = [command.name or command.callback.__name__ for command in app.registered_commands]
    groups = [group.name for group in app.registered_groups]
    assert {name.split()[0] for name, _ in COMMAND.findall(shell)} == {*commands, *groups}
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= set(re.findall(r"make ([\w-]+)", shell)) <= targets


@pytest.mark.one_backend
@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_commands_have_the_options_that_are_shown(page):
    for command, rest in COMMAND.findall("\n".join(blocks("shell", page.read_text()))):
        assert set(re.findall(r"--[\w-]+", rest)) <= options_of(command), (command, rest)


@pytest.mark.one_backend
def test_the_readmes_table_of_models_is_that_of_the_records():
    spec = importlib.util.spec_from_file_location("model_table", ROOT / "tools/model_table.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.updated(README) == README, "run `python tools/model_table.py`"
    assert set(costs()) == set(PRESETS), "run `python benchmarks/zoo.py`"


@pytest.mark.one_backend
@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert link.startswith("https://") or (page.parent / link).exists(), link


@pytest.mark.one_backend
@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name, tmp_path, monkeypatch):
    if name.startswith("cspdarknet.scale."):
        pytest.importorskip("pyarrow", reason="bulk jobs need PyArrow")
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(name)
    given = {name: getattr(cspdarknet, name) for name in cspdarknet.__all__}
    given |= {"cspdarknet": cspdarknet, "keras": keras, "np": np}
    given |= {"Console": Console, "Image": Image, "Path": Path}
    result = doctest.testmod(
        module,
        extraglobs={name: value for name, value in given.items() if name not in vars(module)},
        optionflags=doctest.NORMALIZE_WHITESPACE,
    )
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.one_backend
@pytest.mark.slow
def test_the_guide_to_fine_tuning(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, color in {"daisy": "white", "poppy": "red", "tulip": "yellow"}.items():
        Path("images", name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (48 + i, 40), color).save(Path("images", name, f"{i}.png"))
    shutil.copytree("images", "other_images")
    tiny_backbone().save_to_preset("tiny")
    write_short_recipe(CLASSIFICATION_RECIPES["finetune"])
    write_multi_label_dataset(Path("tagged"))
    for name, gray in {"none": 20, "light": 130, "severe": 240}.items():
        Path("damage", name).mkdir(parents=True)
        for i in range(3):
            Image.new("L", (48 + i, 40), gray).save(Path("damage", name, f"{i}.png"))
    write_animals(Path("animals"))
    names, commands = run_guide("fine-tune.md")
    assert commands == [
        *("train", "evaluate", "evaluate", "predict", "train"),
        *("data check", "train", "evaluate", "predict", "train", "evaluate"),
        *("data check", "train", "evaluate", "predict"),
    ]
    assert names["regressor"].targets == ("age", "weight")
    assert cspdarknet.load_model("my_grades").class_names == ("none", "light", "severe")
    assert names["probabilities"].shape == (3,)
    assert names["predictor"].class_names == ("daisy", "poppy", "tulip")
    page = (ROOT / "docs/fine-tune.md").read_text()
    files = [
        file
        for row in re.findall(r"^\| (`[^|]*`) \|", page, re.MULTILINE)
        for file in re.findall(r"`([\w.]+(?:\.\w+|/))`", row)
    ]
    assert len(files) == 10
    for file in files:
        assert Path("my_run", file).exists(), file


@pytest.mark.one_backend
@pytest.mark.slow
def test_the_guide_to_detection(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_yolo_dataset(Path("images_with_boxes"), count=3)
    shutil.copytree("images_with_boxes/images", "smears")
    Path("smears/0.png").rename("smears/0.jpg")  # the content counts, not the name
    YOLOXDetector(tiny_backbone(), num_classes=2, image_size=32).save_to_preset("tiny")
    write_short_recipe(DETECTION_RECIPES["finetune"])
    tiny = ("--model", "tiny")
    short, small = ("--recipe", "short.json"), ("--image-size", "32", "--epochs", "1", *tiny)
    names, commands = run_guide("detect.md", [short, small, small, tiny, (*short, *tiny)])
    assert commands == [
        *("detect", "detect", "detect", "detect", "detect", "detect"),
        *("data check", "train", "evaluate", "detect", "evaluate"),
        *("train", "evaluate", "train", "train", "detect", "evaluate", "train"),
    ]
    assert names["boxes"].shape == (1, 50, 4)
    assert names["outputs"]["boxes"].shape == (1, 50, 4)
    assert names["detections"].class_names == ("Platelets", "RBC", "WBC")
    assert json.loads(Path("cells.json").read_text())["images"]
    assert Path("results/labels/0.txt").exists()
    assert cspdarknet.load_model("my_detector").class_names == ("blue", "red")


@pytest.mark.one_backend
def test_the_guide_to_tracking(tmp_path, monkeypatch):
    pytest.importorskip("trackers", reason="tracking needs trackers")
    monkeypatch.chdir(tmp_path)
    frames = (paint((48, 80), [("red", 4 + 4 * i, 8, 24 + 4 * i, 28)]) for i in range(12))
    write_video(Path("clip.mp4"), frames, Fraction(10))
    names, commands = run_guide("track.md")
    assert commands == ["track", "track"]
    assert names["frame"].index == 11
    assert len(Path("counts.jsonl").read_text().splitlines()) == 12
    assert names["counts"].to_json()["zones"] == []


@pytest.mark.one_backend
@pytest.mark.slow
def test_the_guide_to_datasets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_yolo_dataset(Path("images"), count=10)
    YOLOXDetector(tiny_backbone(), num_classes=2, image_size=32).save_to_preset("tiny")
    write_short_recipe(DETECTION_RECIPES["finetune"])
    names, commands = run_guide("data.md")
    assert commands == [
        *("data check", "train", "data check", "data stats", "data show"),
        *("data split", "data convert", "data pack", "data pack", "data check", "train", "train"),
        "data clear-cache",
    ]
    assert load_detection_dataset("divided").test is not None
    assert load_detection_dataset("as_coco").format.startswith("COCO")
    assert names["splits"].class_names == ("cat", "dog")


@pytest.mark.slow
@pytest.mark.one_backend
def test_the_guide_to_the_workbench(tmp_path, monkeypatch):
    pytest.importorskip("sklearn", reason="probes need scikit-learn")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    write_class_folders(Path("photos"), per_class=4)
    names, commands = run_guide("workbench.md")
    assert commands == [
        *("embed", "search", "search", "data check"),
        *("explain", "explain", "export", "compare", "inspect"),
    ]
    assert names["embeddings"].vectors.shape == (12, 480)
    assert names["report"].best.accuracy > 0.5
    assert Path("neighbors.jpg").exists()


@pytest.mark.slow
@pytest.mark.one_backend
def test_the_guide_to_other_heads(tmp_path, monkeypatch):
    pytest.importorskip("skimage", reason="the guide uses an image of scikit-image")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/other-heads.md").read_text()
    short = {"range(32)": "range(1)", "+ 128": "+ 32", "epochs=10": "epochs=1", "256:]": "480:]"}
    for long, tiny in short.items():
        assert long in page
        page = page.replace(long, tiny)
    names = {}
    for block in blocks("python", page):
        if not block.startswith("# needs"):
            exec(compile(block, "other-heads.md", "exec"), names)
    assert names["found"].shape == names["wanted"].shape == (512, 32)
    assert names["backbone"].feature_strides["P5"] == 8
    assert names["masks_of_boxes"](names["boxes"], np.array([0, 1]), 32, 48)[12, 15] == 2


@pytest.mark.one_backend
@pytest.mark.slow
def test_the_guide_to_deployment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_yolo_dataset(Path("images_with_boxes"), count=3)
    Path("images_with_boxes/classes.txt").write_text("RBC\nWBC\n")
    shutil.copytree("images_with_boxes/images", "smears")
    shutil.copytree("images_with_boxes/images", "images")
    Path("images/0.png").rename("images/0.jpg")
    names, commands = run_guide("deploy.md")
    assert commands == ["export"] * 4 + ["evaluate"]
    assert Path("cells.bin").exists()
    assert names["exported"].comparison.max_relative_error < 1e-4
    assert len(names["fused"].layers) < 0.5 * len(names["classifier"].backbone.layers)


@pytest.mark.one_backend
def test_the_guide_to_weight_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    backbone = tiny_backbone(padding="symmetric")
    detector = randomize(YOLOXDetector(backbone, num_classes=80, image_size=32))
    cspdarknet.conversion.save(detector, "yolox_s.pth")
    cspdarknet.conversion.save(detector, "my_training.pth")
    x = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    np.savez("io.npz", x=x, P4=backbone.predict_on_batch(x))
    names, commands = run_guide("checkpoints.md")
    assert commands == ["convert", "convert", "verify", "verify", "info", "info", "push"]
    assert names["detector"].class_names[0] == "person"
    assert type(names["backbone"]) is CSPDarkNetBackbone
    assert Path("backbone.safetensors").is_file()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="about tf.distribute")
def test_the_example_of_tf_distribute():
    import tensorflow as tf

    page = (ROOT / "docs/scale.md").read_text()
    (block,) = [block for block in blocks("python", page) if "tf.distribute" in block]
    images = np.random.default_rng(0).uniform(0, 255, (64, 32, 32, 3)).astype("float32")
    names = {"tf": tf, "ImageClassifier": ImageClassifier, "images": images}
    exec(compile(block, "scale.md", "exec"), {**names, "labels": np.arange(64) % 3})


@pytest.mark.one_backend
@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.parametrize("name", ["slurm_{}.sh", "kubernetes_{}.yaml"])
def test_cluster_files_name_real_options(name, backend):
    text = (ROOT / "examples/cluster" / name.format(backend)).read_text()
    (command,) = re.findall(r"cspdarknet train (.*?)(?:\n {10}\w|\Z)", text, re.DOTALL)
    options = set(re.findall(r"--[\w-]+", command))
    assert ("--join" in options) == (backend == "jax")
    assert options <= options_of("train")
