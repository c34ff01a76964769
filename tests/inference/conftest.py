"""Models and image files that the tests of inference share."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.export import build_onnx
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from support import randomize

RUNTIMES = ("openvino", "onnxruntime", "keras")
NAMES = ("red", "green", "blue")


@pytest.fixture(params=RUNTIMES)
def runtime(request):
    if request.param != "keras":
        pytest.importorskip(request.param)
        pytest.importorskip("onnx")
    return request.param


@pytest.fixture(scope="session")
def backbone():
    return randomize(CSPDarkNetBackbone([8, 12, 16], [1, 1, 1], include_rescaling=True))


@pytest.fixture(scope="session")
def classifier(backbone):
    return randomize(ImageClassifier(backbone, 3, class_names=NAMES, image_size=32))


@pytest.fixture(scope="session")
def detector(backbone):
    """A detector with another `bounding_box_format`, which a `Predictor` ignores."""
    return randomize(
        YOLOXDetector(
            backbone, 2, "center_xywh", image_size=64, score_threshold=0.2, max_detections=7
        ),
        seed=2,
    )


@pytest.fixture
def files(tmp_path):
    """Seven files of several sizes, the fourth of which is damaged."""
    rng = np.random.default_rng(0)
    paths = []
    for i, size in enumerate([(40, 60), (40, 60), (50, 50), (1, 1), (30, 90), (64, 64), (48, 80)]):
        paths.append(tmp_path / f"{i}.png")
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), "uint8"))
        coarse.resize(size[::-1], Image.Resampling.BILINEAR).save(paths[-1])
    paths[3].write_bytes(b"not an image")
    return paths


@pytest.fixture
def readable(files):
    return [path for path in files if path.name != "3.png"]


@pytest.fixture
def onnx_file(tmp_path):
    """Writes a model as an .onnx file, without the check of `export`."""
    pytest.importorskip("onnxruntime")

    def write(model, **arguments):
        path = tmp_path / "model.onnx"
        path.write_bytes(build_onnx(model, **arguments).SerializeToString())
        return path

    return write


@pytest.fixture
def opened(monkeypatch):
    """The files that Pillow opens, in order."""
    paths, original = [], Image.open

    def counting(path, *args, **kwargs):
        paths.append(path)
        return original(path, *args, **kwargs)

    monkeypatch.setattr(Image, "open", counting)
    return paths
