"""The device that a runtime computes on."""

from types import SimpleNamespace

import pytest

from cspdarknet import Predictor
from cspdarknet.inference import devices

pytestmark = pytest.mark.one_backend

NAMES = ("openvino", "onnxruntime", "keras")


@pytest.fixture
def machine(monkeypatch):
    """Set which devices a machine has, and which of them the runtimes were built for."""

    def build(gpu=True, onnxruntime=("cpu",), keras="cpu"):
        monkeypatch.setattr(devices, "has_gpu", lambda: gpu)
        monkeypatch.setattr(devices, "onnxruntime_devices", lambda: list(onnxruntime))
        monkeypatch.setattr(devices, "keras_device", lambda: keras)

    return build


@pytest.mark.parametrize(
    ("device", "hardware", "expected"),
    [
        ("auto", {"gpu": False, "onnxruntime": ("cpu", "cuda"), "keras": "gpu"}, NAMES),
        ("auto", {}, NAMES),
        ("auto", {"onnxruntime": ("cpu", "cuda")}, ("onnxruntime", "openvino", "keras")),
        ("auto", {"keras": "gpu"}, ("keras", "openvino", "onnxruntime")),
        ("cpu", {"onnxruntime": ("cpu", "cuda"), "keras": "gpu"}, NAMES),
        ("cuda", {"onnxruntime": ("cpu", "cuda"), "keras": "gpu"}, ("onnxruntime", "keras")),
        ("cuda", {"keras": "gpu"}, ("keras",)),
        ("tensorrt", {"onnxruntime": ("cpu", "cuda", "tensorrt")}, ("onnxruntime",)),
    ],
)
def test_runtimes_for_a_device(machine, device, hardware, expected):
    machine(**hardware)
    assert devices.runtimes_for(device, NAMES) == list(expected)


def test_no_runtime_for_a_device(machine):
    machine()
    with pytest.raises(ValueError, match=r"device='cuda': install `onnxruntime-gpu` .* or a Keras"):
        devices.runtimes_for("cuda", NAMES)
    with pytest.raises(ValueError, match="device='tensorrt': install `onnxruntime-gpu`") as error:
        devices.runtimes_for("tensorrt", NAMES)
    assert "Keras" not in str(error.value)
    with pytest.raises(ValueError, match=r"'openvino' computes on cpu. Received: device='cuda'"):
        devices.check_device("cuda", "openvino")
    with pytest.raises(ValueError, match=r"'keras' computes on cpu.*install a build of it"):
        devices.check_device("cuda", "keras")
    for device in ("auto", "cpu"):
        devices.check_device(device, "openvino")


def test_onnxruntime_device(machine):
    machine(onnxruntime=("cpu", "cuda"))
    assert devices.onnxruntime_device("auto") == "cuda"
    assert devices.onnxruntime_device("cpu") == "cpu"
    with pytest.raises(ValueError, match=r"needs `onnxruntime-gpu`.* for cpu, cuda"):
        devices.onnxruntime_device("tensorrt")
    machine(gpu=False, onnxruntime=("cpu", "cuda"))
    assert devices.onnxruntime_device("auto") == "cpu"


def test_a_session_that_fell_back_to_the_processor_is_refused():
    session = SimpleNamespace(get_providers=lambda: ["CPUExecutionProvider"])
    devices.check_session(session, "cpu")
    with pytest.raises(ValueError, match=r"cannot start on device='cuda'.*libraries of CUDA"):
        devices.check_session(session, "cuda")


def test_a_predictor(tiny_net, machine):
    machine(gpu=False)
    assert Predictor(tiny_net, device="auto", image_size=32).runtime
    with pytest.raises(ValueError, match="device='cuda'"):
        Predictor(tiny_net, device="cuda", image_size=32)
    for runtime in ("openvino", "onnxruntime", "keras"):
        with pytest.raises(ValueError, match="device='cuda'"):
            Predictor(tiny_net, runtime=runtime, device="cuda", image_size=32)
    with pytest.raises(ValueError, match="`device` must be"):
        Predictor(tiny_net, device="gpu")
