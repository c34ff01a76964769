"""The program itself: version, help, completion, encodings."""

import os
import subprocess
import sys

import pytest
from PIL import Image

import cspdarknet
from cspdarknet.cli import app
from support import run_command

pytestmark = pytest.mark.one_backend


MAIN = "from cspdarknet.cli import main; main()"


def run(*arguments, code=MAIN, **environment):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        env={**os.environ, **environment},
        capture_output=True,
        timeout=100,
        check=False,
    )


def test_version():
    assert run_command("--version").output == f"cspdarknet {cspdarknet.__version__}\n"


def test_help_fits_80_columns_and_cuts_nothing():
    names = [command.name or command.callback.__name__ for command in app.registered_commands]
    for name in ("", *names):
        result = run_command(*name.split(), "--help")
        assert result.exit_code == 0
        assert max(map(len, result.output.splitlines())) <= 80


def test_completion_of_commands_and_choices():
    for words, expected in (("det", "detect"), ("detect m x --runtime op", "openvino")):
        result = run(
            code="from cspdarknet.cli import app; app(prog_name='cspdarknet')",
            _CSPDARKNET_COMPLETE="complete_bash",
            COMP_WORDS=f"cspdarknet {words}",
            COMP_CWORD=str(len(words.split())),
        )
        assert result.stdout.decode().split() == [expected], result.stderr


@pytest.mark.parametrize("encoding", ["cp1252", "cp437", "ascii", "ascii:surrogateescape"])
def test_names_that_the_output_cannot_encode(tmp_path, encoding):
    """An output that is redirected in Windows, or in the C locale."""
    (tmp_path / "血[1].jpg").write_bytes(b"")
    Image.new("RGB", (8, 8)).save(tmp_path / "液.png")
    result = run(
        *("data", "check", tmp_path, "--task", "classification"),
        PYTHONIOENCODING=encoding,
        PYTHONUTF8="0",
    )
    assert result.returncode == 1
    assert b"Traceback" not in result.stderr
    assert b"UnicodeEncodeError" not in result.stderr
    missing = run("predict", tmp_path / "血[1].pth", tmp_path, PYTHONIOENCODING=encoding)
    assert missing.returncode == 1
    assert b"[1].pth" in missing.stderr
    assert b"Traceback" not in missing.stderr
