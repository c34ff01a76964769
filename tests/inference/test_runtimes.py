"""OpenVINO and ONNX Runtime behind one interface."""

import numpy as np
import pytest

from cspdarknet.export import export
from cspdarknet.inference import Predictor
from cspdarknet.inference.runtimes import OpenVINORuntime
from cspdarknet.model_info import read_model_info
from support import run_python

pytestmark = pytest.mark.one_backend


def test_threads_that_start_together_do_not_wait_forever(classifier, onnx_file):
    """OpenVINO imports a module of NumPy for its first array; no second one may come meanwhile."""
    pytest.importorskip("openvino")
    code = """
import builtins, sys, time
import numpy, openvino
from cspdarknet.inference import Predictor

def slow_import(name, *args, original=builtins.__import__, **kwargs):
    if name.endswith("core.multiarray"):
        print("slow")
        time.sleep(0.5)
    return original(name, *args, **kwargs)

builtins.__import__ = slow_import
predictor = Predictor(
    sys.argv[1], runtime="openvino", threads=2, mode="throughput", batch_size=1, image_size=32
)
images = [numpy.zeros((32, 32, 3), "uint8")] * 4
print(len(predictor(images)))
"""
    assert run_python(code, onnx_file(classifier)).stdout.split() == ["slow", "4"]


def test_a_request_whose_run_fails_is_used_again(backbone, onnx_file):
    pytest.importorskip("openvino")
    runtime = OpenVINORuntime(onnx_file(backbone), threads=1, streams=1)
    for size in (32, 48):  # compiled for the first shape, then for any
        runtime.run(np.zeros((1, size, size, 3), "uint8"))
    with pytest.raises(RuntimeError):
        runtime.run(np.zeros((1, 48, 48, 4), "uint8"))
    # Without the request, the next run would wait for it forever.
    assert [requests.qsize() for requests in runtime._idle.values()] == [1, 1]


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_damaged_files(classifier, tmp_path, suffix):
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    path = tmp_path / f"a{suffix}"
    export(classifier, path)
    assert read_model_info(path) == Predictor(path).info
    weights = path if suffix == ".onnx" else path.with_suffix(".bin")
    data = weights.read_bytes()
    for count in (len(data) // 2, len(data) - 3, 0):
        weights.write_bytes(data[:count])
        for name in ("openvino", "onnxruntime")[: 1 if suffix == ".xml" else 2]:
            with pytest.raises(ValueError, match=rf"a\{suffix} is damaged or incomplete \(.+\)"):
                Predictor(path, runtime=name)


def test_files_of_another_origin(classifier, onnx_file):
    onnx = pytest.importorskip("onnx")
    file = onnx_file(classifier)
    graph = onnx.load(file)
    onnx.helper.set_model_props(graph, {"cspdarknet": "{}"})
    file.write_bytes(graph.SerializeToString())
    for name in ("openvino", "onnxruntime"):
        pytest.importorskip(name)
        with pytest.raises(ValueError, match="must have the metadata that cspdarknet writes"):
            Predictor(file, runtime=name)
