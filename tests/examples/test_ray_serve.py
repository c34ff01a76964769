"""The example of Ray Serve, on a cluster of one machine."""

import http.client
import json
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from cspdarknet import Predictor
from cspdarknet.export import build_onnx
from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector
from fake_detector import paint
from served_models import file_of

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SMALL = 80 * 2**20  # bytes: the least that Ray takes for the objects of a node
SIZES = [(48, 64), (50, 40), (33, 70)]
RECTANGLES = [("red", 5, 6, 25, 30), ("blue", 20, 5, 38, 25)]

pytestmark = pytest.mark.one_backend


@pytest.fixture
def ray(monkeypatch):
    """A cluster of this machine; its processes find the example."""
    monkeypatch.syspath_prepend(EXAMPLES)
    monkeypatch.setenv("PYTHONPATH", str(EXAMPLES))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    ray = pytest.importorskip("ray", reason="the example needs Ray")
    pytest.importorskip("ray.serve", reason="the example needs `pip install 'ray[serve]'`")
    options = {"object_store_memory": SMALL, "include_dashboard": False, "log_to_driver": False}
    ray.init(num_cpus=2, **options)
    yield ray
    ray.serve.shutdown()
    ray.shutdown()
    sys.modules.pop("ray_serve", None)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def answer(port, content):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/", content)
    response = connection.getresponse()
    return response.status, json.load(response)


@pytest.mark.slow
def test_replicas_answer_as_a_predictor(ray, tmp_path):
    pytest.importorskip("onnxruntime", reason="exported models need ONNX Runtime")
    path = tmp_path / "model.onnx"
    backbone = CSPDarkNetBackbone([8, 8, 8], [1, 1, 1], include_rescaling=True)
    detector = YOLOXDetector(backbone, 2, image_size=32, score_threshold=0.0, max_detections=5)
    path.write_bytes(build_onnx(detector, letterbox=True).SerializeToString())
    port = free_port()
    ray.serve.start(http_options={"host": "127.0.0.1", "port": port})
    import ray_serve

    application = ray_serve.build({"model": str(path), "replicas": "2", "threads": "1"})
    ray.serve.run(application)
    photos = [file_of(paint(size, RECTANGLES)) for size in SIZES] * 4
    with ThreadPoolExecutor(len(photos)) as pool:
        answers = list(pool.map(lambda photo: answer(port, photo), photos))
    predictor = Predictor(path)
    for photo, (status, body) in zip(photos, answers, strict=True):
        expected = predictor(photo)
        assert status == 200
        assert (body["height"], body["width"]) == expected.image_size
        assert len(expected) > 0
        found = body["detections"]
        np.testing.assert_allclose([d["xyxy"] for d in found], expected.xyxy, atol=1e-3)
        np.testing.assert_allclose([d["confidence"] for d in found], expected.confidence, atol=1e-4)
    status, body = answer(port, b"no image")
    assert status == 422
    assert "image" in body["error"]
