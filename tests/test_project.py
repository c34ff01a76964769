"""The files of the repository that name the package's version, dependencies and commands agree."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

import cspdarknet

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))

pytestmark = pytest.mark.one_backend


def load(path):
    return yaml.safe_load((ROOT / path).read_text())


def test_citation_and_conda_recipe_are_of_this_version():
    assert load("CITATION.cff")["version"] == cspdarknet.__version__
    assert load("CITATION.cff")["license"] == PROJECT["license"]
    assert load("packaging/recipe.yaml")["context"]["version"] == cspdarknet.__version__


def test_conda_recipe_has_the_dependencies_of_the_package():
    needed = load("packaging/recipe.yaml")["requirements"]["run"]
    expected = [f"python {PROJECT['requires-python']}", *PROJECT["dependencies"]]
    assert [line.replace(" ", "") for line in needed] == [
        line.replace(" ", "") for line in expected
    ]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_targets_that_make_has(path):
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    jobs = load(path)["jobs"]
    for job in jobs.values():
        matrix = job.get("strategy", {}).get("matrix", {})
        choices = [*matrix.get("target", []), *(row["target"] for row in matrix.get("include", []))]
        assert set(choices) <= targets
        commands = " ".join(step.get("run", "") for step in job["steps"])
        assert set(re.findall(r"make ([a-z-]+)", commands)) <= targets


@pytest.mark.parametrize("name", ["Dockerfile", "Dockerfile.cuda"])
def test_images_install_extras_that_exist(name):
    text = (ROOT / "packaging" / name).read_text()
    extras = re.search(r"\.whl\)\[([\w,-]+)\]", text)[1].split(",")
    assert set(extras) <= set(PROJECT["optional-dependencies"])
    assert 'ENTRYPOINT ["cspdarknet"]' in text


def test_the_package_with_jax_needs_nothing_of_other_extras():
    names = {re.match(r"[\w-]+", line)[0] for line in PROJECT["dependencies"]}
    assert names == {"keras", "numpy", "h5py", "pillow", "rich", "typer", "kagglehub"}
    assert [re.match(r"[\w-]+", line)[0] for line in PROJECT["optional-dependencies"]["jax"]] == [
        "jax"
    ]


def test_every_extra_is_checked_alone(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "tools")
    import extras

    checked = {*PROJECT["optional-dependencies"]} - {"dev", "docs"}
    assert {*extras.CHECKS} == {"none", *checked}
    matrix = load(".github/workflows/extras.yml")["jobs"]["alone"]["strategy"]["matrix"]
    assert matrix["extra"] == [*extras.CHECKS]
    for program in (*extras.CHECKS.values(), *(code for _, code in extras.FAILURES.values())):
        compile(extras.PREPARATION + program, "program", "exec")
