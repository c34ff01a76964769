"""The examples of README and docstrings run, and say what they say."""

import doctest
import importlib
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import cspdarknet
from cspdarknet.cli import app
from cspdarknet.models import CSPDarkNetBackbone, CSPDarkNetTinyBackbone, ImageClassifier

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text()
MODULES = [
    "checkpoints.convert",
    "checkpoints.load",
    "features",
    "images",
    "layers",
    "models.aliases",
    "models.backbone",
    "models.classifier",
    "models.preset_model",
    "visualize",
]


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


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


def test_readme_commands():
    commands = re.findall(r"^cspdarknet (\w+)(.*)$", "\n".join(blocks("shell")), re.MULTILINE)
    assert {name for name, _ in commands} == {"presets", "info", "features", "convert", "verify"}
    for name, rest in commands:
        help_text = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).output
        for option in re.findall(r"--\w+", rest.split("#")[0]):
            assert option in re.sub(r"\x1b\[[0-9;]*m", "", help_text)
    make = set(re.findall(r"make ([\w-]+)", "\n".join(blocks("shell"))))
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"demo", "test"} <= make <= targets


def test_readme_preset_table():
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+)M", README, re.MULTILINE)
    presets = CSPDarkNetBackbone.presets
    assert [name for name, _ in rows] == list(presets)
    for name, millions in rows:
        assert float(millions) == pytest.approx(presets[name]["metadata"]["params"] / 1e6, abs=5e-3)


@pytest.mark.parametrize("name", ["README.md", *(f"docs/{p.name}" for p in ROOT.glob("docs/*.md"))])
def test_links_lead_somewhere(name):
    page = ROOT / name
    for link in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert link.startswith("https://") or (page.parent / link).exists(), link


@pytest.mark.parametrize("name", MODULES)
def test_docstrings(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"cspdarknet.{name}")
    given = {
        "save": cspdarknet.checkpoints.save,
        "CSPDarkNetBackbone": CSPDarkNetBackbone,
        "CSPDarkNetTinyBackbone": CSPDarkNetTinyBackbone,
        "Image": Image,
        "ImageClassifier": ImageClassifier,
        "cspdarknet": cspdarknet,
        "keras": keras,
        "np": np,
    }
    result = doctest.testmod(module, extraglobs=given, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted > 0
    assert result.failed == 0
