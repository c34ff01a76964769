"""Running ONNX and OpenVINO files with scaled scores."""

import numpy as np
import pytest

from cspdarknet.export import onnx_formats
from cspdarknet.export.inference_graph import inference_graph
from cspdarknet.export.onnx.model import onnx_for_runtime

pytest.importorskip("onnx")
pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("format", "runtime", "name"),
    [("onnx", "onnxruntime", "d.onnx"), ("openvino", "openvino", "d.xml")],
)
def test_scores_are_multiplied_before_nms(detector, low, noise, tmp_path, format, runtime, name):
    pytest.importorskip(runtime)
    graph, info = inference_graph(detector, options=low)
    path = tmp_path / name
    onnx_formats.write(onnx_for_runtime(graph, info, runtime), info, path, format)
    images = noise(96, 96)
    plain = onnx_formats.run(path, images, format)
    doubled = onnx_formats.run(path, images, format, 2.0)
    assert plain.keys() == graph.output.keys()
    assert plain["num_detections"].min() > 0
    assert (doubled["num_detections"] >= plain["num_detections"]).all()
    for key in ("boxes", "confidence", "classes"):
        factor = 2 if key == "confidence" else 1
        for i, count in enumerate(plain["num_detections"]):
            np.testing.assert_allclose(
                doubled[key][i, :count], factor * plain[key][i, :count], rtol=1e-5
            )
