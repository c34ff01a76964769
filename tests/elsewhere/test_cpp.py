"""The C++ example counts the same cells as `cspdarknet detect`."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import cspdarknet
from cspdarknet.export import export
from support import run_command

pytestmark = [pytest.mark.one_backend, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "examples" / "cpp"
PHOTO = ROOT / "src" / "cspdarknet" / "presets" / "bundled" / "yolox_nano_bccd" / "example.jpg"
ONNXRUNTIME_ROOT = os.environ.get("ONNXRUNTIME_ROOT", "")
HEADERS = {
    "stb_image.h": "libstb-dev",
    "onnxruntime_cxx_api.h": "ONNX Runtime's release, with ONNXRUNTIME_ROOT as its folder",
}


def _skip_without_tools():
    for program in ("cmake", "c++"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    roots = [Path(root) for root in (ONNXRUNTIME_ROOT, "/usr", "/usr/local") if root]
    folders = [root / "include" / name for root in roots for name in ("", "onnxruntime", "stb")]
    for header, package in HEADERS.items():
        if not any((folder / header).is_file() for folder in folders):
            pytest.skip(f"{header} is not installed: it is part of {package}")


@pytest.fixture
def program(tmp_path):
    """The example, built."""
    _skip_without_tools()
    build = tmp_path / "build"
    options = [f"-DONNXRUNTIME_ROOT={ONNXRUNTIME_ROOT}"] if ONNXRUNTIME_ROOT else []
    subprocess.run(["cmake", "-S", SOURCE, "-B", build, *options], check=True)
    subprocess.run(["cmake", "--build", build], check=True)
    return build / "count_cells"


def test_it_counts_the_cells_that_detect_finds(program, tmp_path):
    pytest.importorskip("onnxruntime")
    detector = cspdarknet.load_model("yolox_nano_bccd")
    export(detector, tmp_path / "cells.onnx", letterbox=True)
    Image.open(PHOTO).save(tmp_path / "cells.png")  # two decoders of JPEG may round differently
    names = list(detector.class_names)

    def run(*arguments):
        command = [program, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    job = run("cells.onnx", ",".join(names), "cells.png")
    assert job.returncode == 0, job.stderr
    command = ["detect", "yolox_nano_bccd", tmp_path / "cells.png", "--json", tmp_path / "c.json"]
    assert run_command(*command).exit_code == 0
    detected = json.loads((tmp_path / "c.json").read_text())
    expected, categories = detected["annotations"], detected["categories"]
    category_names = {category["id"]: category["name"] for category in categories}
    counted = Counter(category_names[a["category_id"]] for a in expected)
    assert counted.total() > 10
    assert re.findall(r"^(\w+): (\d+)$", job.stdout, re.M) == [
        (name, str(counted[name])) for name in names
    ]
    found = re.findall(r"^\w+ ([\d.]+) at (\S+) (\S+) (\S+) (\S+)$", job.stdout, re.M)
    left, top, right, bottom = np.array(found, float).T[1:]
    boxes = np.stack([left, top, right - left, bottom - top], axis=1)
    np.testing.assert_allclose(boxes, [a["bbox"] for a in expected], atol=0.15)

    job = run("cells.onnx", names[0], "cells.png")
    assert (job.returncode, "more classes than were named" in job.stderr) == (1, True)
    job = run("cells.onnx", ",".join(names), "cells.onnx")
    assert (job.returncode, "unknown image type" in job.stderr) == (1, True)
