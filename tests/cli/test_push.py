"""`cspdarknet push`."""

import pytest

from cspdarknet.presets.records import BUNDLED
from support import run_command

pytestmark = pytest.mark.one_backend

FOLDER, ADDRESS = BUNDLED / "yolox_nano_bccd", "hf://me/cells"


def test_a_dry_run_sends_nothing(hub):
    output = run_command("push", FOLDER, ADDRESS, "--dry-run").output
    assert output.startswith("---\n")
    assert 'license: "mit"' in output
    (line,) = [line for line in output.splitlines() if line.endswith("  model.weights.h5")]
    assert line.split()[0] == f"{(FOLDER / 'model.weights.h5').stat().st_size:,}"
    assert hub.requests == []


def test_the_address_is_printed(hub, logged_in):
    result = run_command("push", FOLDER, ADDRESS, "--private", "--license", "apache-2.0")
    repository = hub.repositories["me/cells"]
    commit = repository.refs["main"]
    assert result.stdout == f"{ADDRESS}@{commit}\n"
    assert repository.private
    assert b'license: "apache-2.0"' in repository.commits[commit]["README.md"]
