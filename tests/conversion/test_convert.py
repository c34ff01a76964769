"""`cspdarknet convert` and `cspdarknet verify`."""

import hashlib
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from cspdarknet.checkpoints import CheckpointError
from cspdarknet.cli import app
from cspdarknet.conversion.verify import verify
from support import GOLDEN, needs_golden
from yolox_files import build, yolox_like

pytestmark = pytest.mark.one_backend


class TestCommands:
    def run(self, *args):
        return CliRunner().invoke(app, list(map(str, args)), env={"COLUMNS": "120"})

    def test_convert_and_verify(self, state_dict, tmp_path):
        done = self.run("convert", state_dict, tmp_path / "preset")
        assert done.exit_code == 0, done.output
        metadata = json.loads((tmp_path / "preset" / "metadata.json").read_text())
        assert metadata["source"] == {
            "name": "a.pth",
            "format": "YOLOX, PyTorch",
            "license": "Apache-2.0",
            "sha256": hashlib.sha256(state_dict.read_bytes()).hexdigest(),
        }
        done = self.run("verify", tmp_path / "preset")
        assert done.exit_code == 0, done.output
        assert done.output.count("equal") == 2

    def test_verify_notices_other_weights(self, state_dict, tmp_path):
        self.run("convert", state_dict, tmp_path / "preset")
        other = yolox_like()
        other.get_layer("dark3_csp_conv3_bn").beta.assign(np.full(6, 0.5))
        other.save_weights(tmp_path / "preset" / "model.weights.h5")
        done = self.run("verify", tmp_path / "preset")
        assert done.exit_code == 1
        assert "DIFFERENT" in done.output

    @needs_golden
    def test_verify_against_a_golden_file(self):
        folder = GOLDEN / "kcv09_tiny"
        done = self.run("verify", folder / "preset", "--golden", folder / "io.npz")
        assert done.exit_code == 0, done.output
        assert done.output.count("equal") == 4

    def test_no_figures(self, tmp_path):
        build().save_to_preset(tmp_path / "preset")
        done = self.run("verify", tmp_path / "preset")
        assert "no stored figures" in str(done.exception)
        np.savez(tmp_path / "g.npz", y=np.ones(3))
        with pytest.raises(CheckpointError, match="no input"):
            verify(build(), "x", tmp_path / "g.npz")
        (tmp_path / "g.npz").write_bytes(b"x")
        with pytest.raises(CheckpointError, match="not a readable"):
            verify(build(), "x", tmp_path / "g.npz")
