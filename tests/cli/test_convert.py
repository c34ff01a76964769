"""`cspdarknet convert`."""

import json
import sys
import warnings

import pytest

from cspdarknet.checkpoints.input_conventions import CONVENTIONS
from cspdarknet.checkpoints.readers import torch as torch_files
from cspdarknet.cli import choices, main
from cspdarknet.layers import ACTIVATIONS
from cspdarknet.models import load_model
from support import run_command

pytestmark = pytest.mark.one_backend


def test_options_of_a_file_of_yolox(state_dict, tmp_path):
    out = tmp_path / "preset"
    done = run_command(
        *("convert", state_dict, out, "--input-convention", "rgb", "--activation", "relu")
    )
    assert done.exit_code == 0, done.output
    source = json.loads((out / "metadata.json").read_text())["source"]
    assert (source["input_convention"], source["activation"]) == ("rgb", "relu")
    assert load_model(out).activation == "relu"


def test_the_warning_is_one_line(state_dict, tmp_path, monkeypatch, capsys):
    arrays = torch_files.read_torch(state_dict)
    large = {"stem.conv.bn.weight": arrays["stem.conv.bn.weight"] * 60}
    torch_files.write_torch(tmp_path / "a.pth", arrays | large)
    command = ["cspdarknet", "convert", str(tmp_path / "a.pth"), str(tmp_path / "preset")]
    monkeypatch.setattr(sys, "argv", command)
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)
    warnings.simplefilter("always")  # pytest sets it back
    with pytest.raises(SystemExit):
        main()
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Warning: The weights of")
    assert "cspdarknet convert --input-convention normalized" in line


def test_choices():
    assert choices.INPUT_CONVENTIONS == CONVENTIONS
    assert choices.ACTIVATIONS == ACTIVATIONS
    done = run_command("convert", "a.pth", "b", "--activation", "gelu")
    assert done.exit_code != 0
    assert "'gelu' is not one of 'silu'" in done.output
