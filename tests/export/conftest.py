"""Models and runtimes that the tests of the exports share."""

import numpy as np
import pytest

from cspdarknet.detections import DetectionOptions
from cspdarknet.export import export
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from support import SMALL, TINY_NET, randomize

# With so low a threshold the bundled detector detects something in noise, too.
LOW = DetectionOptions(score_threshold=0.002, max_detections=20)
# With so high a threshold it detects nothing.
HIGH = DetectionOptions(score_threshold=0.9)


@pytest.fixture(scope="session")
def backbone():
    """A backbone with four stages; no test may change it."""
    return randomize(CSPDarkNetBackbone(**SMALL, include_rescaling=True))


@pytest.fixture(scope="session")
def classifier():
    """The cheapest classifier; no test may change it."""
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    return randomize(ImageClassifier(backbone, 3, class_names=["a", "b", "c"], image_size=64))


@pytest.fixture(scope="session")
def detector():
    """The bundled detector, on small images; no test may change it."""
    return YOLOXDetector.from_preset("yolox_nano_bccd", image_size=96)


@pytest.fixture(scope="session")
def tiny_detector():
    """The cheapest detector, with random weights; no test may change it."""
    backbone = CSPDarkNetBackbone([8, 8, 8], [1, 1, 1], include_rescaling=True)
    return YOLOXDetector(backbone, 2, image_size=32, score_threshold=0.0, max_detections=5)


@pytest.fixture(scope="session")
def low():
    """Options with which the detector detects something in noise."""
    return LOW


@pytest.fixture(scope="session")
def high():
    """Options with which the detector detects nothing in noise."""
    return HIGH


@pytest.fixture(scope="session")
def exported_detector(detector, tmp_path_factory):
    """The detector exported to ONNX, with a threshold at which it detects something in noise."""
    pytest.importorskip("onnxruntime")
    return export(detector, tmp_path_factory.mktemp("exported") / "detector.onnx", options=LOW)


@pytest.fixture(scope="session")
def noise():
    """A function that returns random images, smooth as photographs."""

    def make(height=65, width=96, count=2, seed=0):
        rng = np.random.default_rng(seed)
        coarse = rng.uniform(0, 255, (count, height // 8 + 1, width // 8 + 1, 3))
        smooth = coarse.repeat(8, axis=1).repeat(8, axis=2)[:, :height, :width]
        return (smooth + rng.normal(0, 8, smooth.shape)).clip(0, 255).astype("uint8")

    return make


def _run_onnxruntime(model, images):
    ort = pytest.importorskip("onnxruntime")
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def _run_openvino(model, images):
    openvino = pytest.importorskip("openvino")
    core = openvino.Core()
    network = core.read_model(model.SerializeToString(), b"")
    results = core.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})([images])
    return {output.name: results[output.name] for output in model.graph.output}


RUN = {"onnxruntime": _run_onnxruntime, "openvino": _run_openvino}


@pytest.fixture(scope="session", params=RUN)
def run_onnx(request):
    """A function that runs an ONNX model on images, in each of the runtimes."""
    return RUN[request.param]


@pytest.fixture(scope="session")
def run_onnxruntime():
    """A function that runs an ONNX model on images, in ONNX Runtime."""
    return RUN["onnxruntime"]
