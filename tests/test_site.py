"""The documentation site: public names, commands, links, tutorials and notebooks."""

import importlib
import inspect
import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

import cspdarknet
from cspdarknet.checkpoints.readers import timm
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.train import CLASSIFICATION_RECIPES, DETECTION_RECIPES
from image_datasets import write_yolo_dataset
from support import randomize
from test_docs import (
    COMMAND,
    blocks,
    options_of,
    page_id,
    run_guide,
    tiny_backbone,
    write_short_recipe,
)

pytestmark = pytest.mark.one_backend

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PACKAGE = Path(cspdarknet.__file__).parent
NOTEBOOKS = sorted(path for path in DOCS.glob("notebooks/*.md") if path.stem != "index")
SUBPAGES = sorted(path for path in DOCS.glob("[!_]*/*.md"))
PACKAGES = ["cspdarknet", "cspdarknet.layers", "cspdarknet.visualize"]
PACKAGES += sorted(
    f"cspdarknet.{path.parent.name}"
    for path in PACKAGE.glob("[!_]*/__init__.py")
    if "__all__ = " in path.read_text()
)
# Options that make the trainings of tutorials short.
TINY = [("--recipe", "short.json", "--model", "tiny")]
# Smaller values of the parameters of notebooks.
SMALL = {
    "transfer-learning": {"IMAGES_PER_CLASS": 4, "EPOCHS": 1},
    "detection": {"SIDE": 64, "IMAGES": 4, "EPOCHS": 1},
    "feature-search": {"STEP": 256},
    "deployment": {"CALIBRATION_IMAGES": 2, "REPEATS": 1},
}


def entries():
    """The names that the API reference has an entry for, by object."""
    found = {}
    for page in DOCS.glob("reference/*.md"):
        for package, names in re.findall(
            r"^```\{api\} (\S+)\n(.*?)^```", page.read_text(), re.M | re.S
        ):
            for line in names.splitlines():
                name = line.partition(":")[0]
                found[f"{package}.{name}"] = getattr(importlib.import_module(package), name)
    return found


def public_names(package):
    module = importlib.import_module(package)
    names = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", "") == package
    ]
    return [
        name
        for name in names
        if not inspect.ismodule(getattr(module, name)) and name != "__version__"
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_the_reference_has_every_public_name(package):
    documented = entries()
    module = importlib.import_module(package)
    for name in public_names(package):
        value = getattr(module, name)
        is_there = f"{package}.{name}" in documented
        assert is_there or any(value is entry for entry in documented.values()), (
            f"Add {package}.{name} to a page in docs/reference."
        )


def test_the_reference_has_each_object_once():
    documented = [value for value in entries().values() if callable(value)]
    assert len(documented) == len({id(value) for value in documented}) > 100


def test_every_page_is_in_a_table_of_contents():
    listed = {"index"}
    for page in DOCS.glob("**/*.md"):
        for block in re.findall(r"^```\{toctree\}\n(.*?)^```", page.read_text(), re.M | re.S):
            names = [line for line in block.splitlines() if line and not line.startswith(":")]
            folder = page.parent.relative_to(DOCS)
            listed |= {name[1:] if name[0] == "/" else str(folder / name) for name in names}
    pages = {str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.glob("**/*.md")}
    assert {page for page in pages if not page.startswith("_")} == listed


@pytest.mark.parametrize("page", SUBPAGES, ids=page_id)
def test_links_and_options_are_real(page):
    text = page.read_text()
    for link in re.findall(r"\]\(([^)#\s]+)\)", re.sub(r"(?ms)^```.*?^```", "", text)):
        assert link.startswith("https://") or (page.parent / link).exists(), link
    for command, rest in COMMAND.findall("\n".join(blocks("shell", text))):
        assert set(re.findall(r"--[\w-]+", rest)) <= options_of(command), (command, rest)


@pytest.fixture
def extensions(monkeypatch):
    pytest.importorskip("myst_nb", reason="the site needs the extra docs")
    monkeypatch.syspath_prepend(str(DOCS / "_ext"))
    return importlib.import_module


@pytest.mark.parametrize(
    ("link", "repository", "expected"),
    [
        ("[x](../benchmarks/tiles.py)", "", "x (`benchmarks/tiles.py`)"),
        ("[`tiles.py`](../benchmarks/tiles.py)", "", "`benchmarks/tiles.py`"),
        ("[x](../README.md#a)", "https://h/o/r", "[x](https://h/o/r/blob/main/README.md#a)"),
        ("[x](../examples)", "https://h/o/r", "[x](https://h/o/r/tree/main/examples)"),
        ("[x](deploy.md#export)", "", "[x](deploy.md#export)"),
        ("[x](https://h/../y)", "", "[x](https://h/../y)"),
        ('steps["x"](../image)', "", 'steps["x"](../image)'),
        ("![x](../benchmarks/results/memory.png)", "", "![x](../benchmarks/results/memory.png)"),
    ],
)
def test_links_to_files_outside_the_site(extensions, link, repository, expected):
    rewrite = extensions("repository_links").rewrite
    assert rewrite(f"a {link} b", DOCS, ROOT, repository) == f"a {expected} b"


def test_links_of_an_included_file_lead_to_pages(extensions):
    rewrite = extensions("repository_links").rewrite
    assert rewrite("[x](docs/deploy.md#export)", ROOT, ROOT, "") == "[x](/deploy.md#export)"


def test_colab_links_need_a_repository(extensions):
    links = extensions("notebook_files").links
    assert "Colab" not in links("notebooks/detection", "")
    assert (
        'href="https://colab.research.google.com/github/o/r/blob/gh-pages/notebooks/detection.ipynb"'
        in links("notebooks/detection", "https://github.com/o/r")
    )


def test_jupyters_files_install_and_link_to_the_repository(extensions):
    as_notebook = extensions("notebook_files").as_notebook
    for path in NOTEBOOKS:
        notebook = as_notebook(path, ROOT, "https://github.com/o/r")
        install, *cells = [cell.source for cell in notebook.cells]
        assert re.match(r'%pip install --quiet "cspdarknet\[[\w,]+\] @ git\+https://git', install)
        assert "](../" not in "".join(cells)
        assert "(https://github.com/o/r/blob/main/docs/" in cells[-1]
        assert "](.." not in as_notebook(path, ROOT, "").cells[-1].source


def test_the_command_line_reference_has_every_option(extensions):
    module = extensions("command_line")
    text = "\n".join(module.reference("cspdarknet.cli:app"))
    assert ".. option:: --score-threshold NUMBER|CLASS=NUMBER,..." in text
    assert ".. program:: cspdarknet data check" in text
    assert "``cspdarknet verify``" in text


def run_notebook(path):
    """Run the cells of a notebook; parameters get smaller values than those in its text."""
    names = {}
    cells = re.findall(r"^```\{code-cell\} python\n(.*?)^```", path.read_text(), re.M | re.S)
    for cell in cells:
        code = re.sub(r"\A(:.*\n)+", "", cell)
        exec(compile(code, path.name, "exec"), names)
        if code != cell and "parameters" in cell:
            assert set(SMALL[path.stem]) <= set(names)
            names |= SMALL[path.stem]
    assert len(cells) > 5
    return names


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks(path, tmp_path, monkeypatch):
    matplotlib = pytest.importorskip("matplotlib", reason="notebooks draw plots")
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    names = run_notebook(path)
    if path.stem == "transfer-learning":
        assert names["evaluation"].accuracy >= 0
        assert Path("run/report.html").exists()
    elif path.stem == "detection":
        assert names["check"].format.startswith("YOLO")
        assert names["from_file"].class_names == ("disk", "square")
    elif path.stem == "feature-search":
        assert names["index"].shape == (len(names["pieces"]), 480)
    else:
        assert names["exported"].comparison.max_relative_error < 1e-4


def test_the_landing_page(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("smears").mkdir()
    Image.new("RGB", (64, 48), "white").save("smears/0.jpg")
    names, commands = run_guide("index.md")
    assert commands == ["detect"]
    assert Path("boxes/0.jpg").exists()
    assert names["detections"].class_names == ("Platelets", "RBC", "WBC")


@pytest.mark.slow
def test_the_tutorial_of_classes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, color in {"daisy": "white", "poppy": "red", "tulip": "yellow"}.items():
        Path("flowers", name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (48 + i, 40), color).save(Path("flowers", name, f"{i}.png"))
    tiny_backbone().save_to_preset("tiny")
    write_short_recipe(CLASSIFICATION_RECIPES["finetune"])
    names, commands = run_guide("tutorials/classify-your-photos.md", TINY)
    assert commands == ["data check", "train", "predict"]
    assert names["probabilities"].shape == (3,)


@pytest.mark.slow
def test_the_tutorial_of_objects(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_yolo_dataset(Path("my_images"), count=3)
    YOLOXDetector(tiny_backbone(), num_classes=2, image_size=32).save_to_preset("tiny")
    write_short_recipe(DETECTION_RECIPES["finetune"])
    names, commands = run_guide("tutorials/detect-your-objects.md", TINY)
    assert commands == ["data check", "data stats", "train", "evaluate", "detect"]
    assert names["detections"].class_names == ("blue", "red")
    assert Path("with_boxes.jpg").exists()


@pytest.mark.slow
def test_the_tutorial_of_yolox(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_yolo_dataset(Path("images_with_boxes"), count=3)
    shutil.copytree("images_with_boxes/images", "images")
    detector = YOLOXDetector(tiny_backbone(padding="symmetric"), num_classes=2, image_size=32)
    cspdarknet.conversion.save(randomize(detector), "yolox_s.pth")
    write_short_recipe(DETECTION_RECIPES["finetune"])
    names, commands = run_guide("tutorials/from-yolox.md")
    assert commands == ["info", "convert", "detect", "train"]
    assert names["detector"].class_names == ("blue", "red")
    assert Path("for_yolox.pth").exists()


@pytest.mark.slow
def test_the_tutorial_of_timm(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("blue", "red"):
        Path("images", name).mkdir(parents=True)
        for i in range(4):
            Image.new("RGB", (48 + i, 40), name).save(Path("images", name, f"{i}.png"))
    conventions = {**timm.CONVENTIONS, "mean": timm.MEAN, "std": timm.STD}
    backbone = CSPDarkNetBackbone([8, 8], [1, 1], True, topology="cs3darknet", **conventions)
    cspdarknet.conversion.save(ImageClassifier(randomize(backbone), 2), "model.pth")
    write_short_recipe(CLASSIFICATION_RECIPES["finetune"])
    names, commands = run_guide("tutorials/from-timm.md", [("--recipe", "short.json")])
    assert commands == ["info", "convert", "predict", "train"]
    assert names["backbone"].feature_channels == {"P2": 8, "P3": 8}
    assert Path("for_timm.pth").exists()


@pytest.mark.slow
def test_the_tutorial_of_deployment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_yolo_dataset(Path("smears_with_boxes"), count=2)
    Path("smears_with_boxes/classes.txt").write_text("RBC\nWBC\n")
    shutil.copytree("smears_with_boxes/images", "smears")
    Path("smears/0.png").rename("smears/0.jpg")
    names, commands = run_guide("tutorials/deploy-a-model.md")
    assert commands == ["export", "evaluate", "benchmark"]
    assert names["boxes"].shape[2] == 4
