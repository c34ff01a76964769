"""The manifest for KServe."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cspdarknet.cli import app

yaml = pytest.importorskip("yaml", reason="YAML files need PyYAML")

MANIFEST = Path(__file__).resolve().parents[2] / "examples/kserve.yaml"

pytestmark = pytest.mark.one_backend


def test_the_manifest_serves_the_folder_that_its_command_writes():
    text = MANIFEST.read_text()
    service = yaml.safe_load(text)
    assert (service["apiVersion"], service["kind"]) == (
        *("serving.kserve.io/v1beta1", "InferenceService"),
    )
    model = service["spec"]["predictor"]["model"]
    assert (model["modelFormat"]["name"], model["protocolVersion"]) == ("triton", "v2")
    folder, name = re.search(r"cspdarknet export \w+ (\w+)/(\w+) --format triton", text).groups()
    assert model["storageUri"].endswith(f"/{folder}")
    assert service["metadata"]["name"] == name
    options = set(re.findall(r"--[\w-]+", text.split("apiVersion")[0]))
    shown = CliRunner().invoke(app, ["export", "--help"], env={"COLUMNS": "200"}).output
    assert options <= set(re.findall(r"--[\w-]+", re.sub(r"\x1b\[[0-9;]*m", "", shown)))
