"""Two processes that write to the same place at once."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from cspdarknet._unfinished import remove_leftovers
from cspdarknet.images import find_images
from cspdarknet.inference.features import FeatureExtractor
from cspdarknet.models import CSPDarkNetBackbone
from cspdarknet.train.run_folder import RunFolder
from support import TINY_NET

pytestmark = pytest.mark.one_backend

# Writes the file again and again, each time with other content of one kind of byte.
WRITING = """
import sys
from pathlib import Path
from cspdarknet._files import write_whole

for i in range(100):
    content = bytes([int(sys.argv[2]) + i % 2]) * (200_000 + i)
    write_whole(Path(sys.argv[1]), lambda part: part.write_bytes(content))
"""
# Does what the first line of its input says, and holds it until it is killed.
HOLDING = """
import sys
from pathlib import Path
from cspdarknet._unfinished import temporary_folder
from cspdarknet.train.run_folder import RunFolder

path = Path(sys.argv[1])
with temporary_folder(path / "a.bin") as folder, RunFolder(path).claimed():
    (folder / "a.bin").write_bytes(b"half")
    print("ready", flush=True)
    sys.stdin.read()
"""


def start(code, *arguments, **options):
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, text=True, **options)


def assert_whole(content):
    assert len(content) >= 200_000
    assert len(set(content)) == 1


def test_a_file_is_always_that_of_one_of_them(tmp_path):
    path = tmp_path / "a.bin"
    writers = [start(WRITING, path, kind) for kind in (10, 20)]
    while any(writer.poll() is None for writer in writers):
        if path.exists():
            assert_whole(path.read_bytes())
    assert [writer.returncode for writer in writers] == [0, 0]
    assert_whole(path.read_bytes())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no flock")
def test_a_folder_that_another_process_uses_until_it_is_killed(tmp_path):
    other = start(HOLDING, tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout.readline() == "ready\n"
        with pytest.raises(ValueError, match="Another process is training in"):
            RunFolder(tmp_path).claimed().__enter__()
        remove_leftovers(tmp_path)
        (unfinished,) = tmp_path.glob(".*/a.bin")
        assert unfinished.read_bytes() == b"half"
    finally:
        other.kill()
        other.communicate()
    with RunFolder(tmp_path).claimed():
        assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_features_in_the_same_folder(tmp_path):
    """Each finds some results of the other one, and the folder is that of one run."""
    model = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    (tmp_path / "images").mkdir()
    for i in range(6):
        Image.new("RGB", (24, 16), (40 * i, 90, 200)).save(tmp_path / f"images/{i}.png")
    files = find_images(tmp_path / "images")

    def run(out):
        return FeatureExtractor(model, out, levels=["P2"], runtime="keras").run(files)

    results = list(zip(run(tmp_path / "both"), run(tmp_path / "both"), strict=True))
    assert {result.state for pair in results for result in pair} <= {"done", "kept"}
    assert {result.state for result in run(tmp_path / "one")} == {"done"}
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert sorted(path.name for path in (tmp_path / "both").iterdir()) == names
    for file in files:
        one, both = (np.load(tmp_path / out / f"{file.key}.npz")["P2"] for out in ("one", "both"))
        np.testing.assert_array_equal(one, both)
