"""The smallest use of each extra, for `check_extras.py`: programs that run in its environment.

Their folder has `model.onnx`, an exported classifier, since most extras come without a backend.
"""

# What exports the model, with the extras that it needs.
EXPORT_EXTRAS = "jax,onnxruntime"
EXPORT = """
import cspdarknet

cspdarknet.export.export(cspdarknet.load_model("csp_darknet_tiny_clothing"), "model.onnx")
"""
# What all programs begin with: a gray image, a dataset of two classes, and the command line.
PREPARATION = """
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import cspdarknet
import cspdarknet.data
import cspdarknet.presets.download
import cspdarknet.presets.records

gray = np.full((48, 64, 3), 127, "uint8")
Image.fromarray(gray).save("gray.png")
for number in range(8):
    Path(f"pictures/{'ab'[number % 2]}").mkdir(parents=True, exist_ok=True)
    Image.fromarray(gray + number).save(f"pictures/{'ab'[number % 2]}/{number}.png")


def run(*arguments):
    done = subprocess.run(
        [sys.executable, "-m", "cspdarknet", *arguments], capture_output=True, text=True
    )
    print(done.stdout, done.stderr)
    if done.returncode:
        sys.exit(done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "failed")
    return done.stdout


def refused(*arguments):
    # A command that must name an extra which is missing.
    try:
        run(*arguments)
    except SystemExit as error:
        assert "pip install 'cspdarknet[" in str(error), error
    else:
        sys.exit("it must need another extra")


"""

PREDICT = 'run("predict", "model.onnx", "gray.png")\n'
BACKEND = """
run("predict", "csp_darknet_tiny_clothing", "gray.png")
run("detect", "yolox_nano_bccd", "gray.png", "--json", "found.json")
run("verify", "csp_darknet_tiny_clothing")
"""
DATA = """
run("data", "check", "pictures")
run("info", "yolox_nano_bccd")
"""
TRAIN = """
run("data", "stats", "pictures", "--out", "page")
run("data", "pack", "pictures", "packed")
run("data", "check", "packed")
"""
VIDEO = """
from cspdarknet.inference.video import read_frames, write_video

write_video(Path("a.mp4"), [gray] * 5, 5)
assert sum(1 for _ in read_frames(Path("a.mp4"))) == 5
"""
DETECTIONS = """
from cspdarknet import Detections

boxes = np.array([[1, 2, 30, 40]], "float32")
found = Detections(boxes, np.ones(1, "float32"), np.zeros(1, int), (48, 64))
"""
PROBE = """
from cspdarknet.analysis.classifiers import linear

vectors = np.eye(4, dtype="float32")
assert linear(vectors, np.array([0, 0, 1, 1]), [1.0], vectors)[0].tolist() == [0, 0, 1, 1]
"""
SEARCH = """
from cspdarknet.analysis.vector_index import index_candidates

vectors = np.eye(8, dtype="float32")
assert 3 in next(index_candidates(vectors, vectors[3:4], 1))
"""
# A tracker logs a training, which also needs a backend: the error must name one.
LOGGER = """
import importlib

importlib.import_module("{}")
try:
    import cspdarknet.train
except ImportError as error:
    assert "pip install 'cspdarknet[jax]'" in str(error), error
else:
    sys.exit("a training must need a backend")
"""

CHECKS = {
    "none": DATA + 'run("--help")\nrun("presets")\n',
    "jax": BACKEND,
    "torch": BACKEND,
    "tensorflow": BACKEND,
    "tensorflow-cpu": BACKEND,
    "hf": """
try:
    cspdarknet.presets.download.fetch("hf://me/net", "config.json")
except ConnectionError as error:
    assert "HF_HUB_OFFLINE" in str(error), error
folder = Path(cspdarknet.presets.records.BUNDLED, "yolox_nano_bccd")
assert "model.weights.h5" in run("push", str(folder), "hf://me/net", "--dry-run")
""",
    "onnx": 'assert "exported" in run("info", "model.onnx")\n',
    "openvino": PREDICT,
    "onnxruntime": PREDICT,
    "int8": "import nncf\n" + PREDICT,
    "train": TRAIN,
    "datasets": """
import datasets

rows = {"image": [f"pictures/a/{n}.png" for n in (0, 2, 4, 6)], "label": [0, 1, 0, 1]}
columns = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(2)})
data = cspdarknet.data.read_dataset(datasets.Dataset.from_dict(rows, features=columns))
""",
    "parquet": """
run("data", "pack", "pictures", "packed", "--to", "parquet")
run("data", "check", "packed")
""",
    "ray": """
import ray.data

refused("predict", "model.onnx", "pictures", "--engine", "ray", "--out", "out")
""",
    "detect": "import pycocotools.mask\nimport yaml\n" + DATA,
    "video": VIDEO,
    "large": """
import tifffile

from cspdarknet.images import read_image

tifffile.imwrite("a.tif", gray, tile=(16, 16), compression="zstd")
assert read_image("a.tif").shape == gray.shape
""",
    "analysis": PROBE,
    "search": SEARCH,
    "supervision": DETECTIONS + "assert len(found.to_supervision()) == 1\n",
    "track": VIDEO
    + DETECTIONS
    + """
from cspdarknet.inference.tracks import Tracker

assert len(Tracker("sort").update(found)) == 1
""",
    "serve": """
from cspdarknet.serve import create_app

refused("serve", "model.onnx")
""",
    "tensorboard": LOGGER.format("tensorboardX"),
    "wandb": 'import os\n\nos.environ["WANDB_MODE"] = "offline"\n' + LOGGER.format("wandb"),
    "mlflow": LOGGER.format("mlflow"),
    "demo": TRAIN
    + "from sklearn.datasets import load_digits\n\nassert len(load_digits().images)\n",
}

# Functions that need the module of another extra, with the name of that extra.
FAILURES = {
    "av": ("video", VIDEO),
    "datasets": ("datasets", 'cspdarknet.data.read_dataset("hf://datasets/me/birds")\n'),
    "fastapi": ("serve", 'run("serve", "yolox_nano_bccd")\n'),
    "huggingface_hub": (
        "hf",
        'cspdarknet.presets.download.fetch("hf://me/net", "config.json")\n',
    ),
    "matplotlib": ("train", 'run("data", "stats", "pictures", "--out", "page")\n'),
    "pyarrow": ("parquet", 'run("data", "pack", "pictures", "packed", "--to", "parquet")\n'),
    "sklearn": ("analysis", PROBE),
    "supervision": ("supervision", DETECTIONS + "found.to_supervision()\n"),
    "usearch": ("search", SEARCH),
}
