"""Fixtures and options that all tests share."""

import atexit
import gc
import os
import shutil
import tempfile
from fractions import Fraction

# A quiet TensorFlow, and one seed for all of them, before anything imports a backend.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
# No graphs in the user's own cache.
os.environ["CSPDARKNET_GRAPH_CACHE"] = tempfile.mkdtemp(prefix="graphs-")

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, settings

from cspdarknet import conversion
from cspdarknet.models import CSPDarkNetBackbone
from fake_detector import paint
from hub_server import HubServer
from support import SMALL, TINY_NET
from yolox_files import yolox_like

settings.register_profile(
    "default", deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
settings.load_profile("default")

# A model is thousands of objects: the default of 700 would collect many times while one is built.
gc.set_threshold(20_000, 10, 10)

atexit.register(shutil.rmtree, os.environ["CSPDARKNET_GRAPH_CACHE"], ignore_errors=True)


@pytest.fixture
def tmp_path(tmp_path_factory):
    """A folder without the test's name, which could be taken for the words of an error."""
    return tmp_path_factory.mktemp("t")


@pytest.fixture(autouse=True)
def _fresh_keras():
    keras.utils.set_random_seed(0)
    yield
    keras.config.set_image_data_format("channels_last")
    keras.config.set_dtype_policy("float32")
    keras.config.set_floatx("float32")


@pytest.fixture
def small():
    """A backbone with four stages, in the shape of the reference files."""
    return CSPDarkNetBackbone(**SMALL, include_rescaling=True)


@pytest.fixture
def tiny_net():
    """The cheapest backbone that has more than one stage."""
    return CSPDarkNetBackbone(**TINY_NET, include_rescaling=False)


@pytest.fixture
def photo():
    """A batch of one 0..255 image of an odd size."""
    return np.random.default_rng(0).uniform(0, 255, (1, 37, 53, 3)).astype("float32")


@pytest.fixture(scope="session")
def state_dict(tmp_path_factory):
    """A small state dict of YOLOX's CSPDarknet in a `.pth` file."""
    path = tmp_path_factory.mktemp("pth") / "a.pth"
    conversion.save(yolox_like(), path)
    return path


@pytest.fixture(scope="session")
def classification_run(tmp_path_factory):
    """A classifier's run that nothing interrupted. Tests must not change it."""
    from training_runs import finished_run_of_a_classifier

    return finished_run_of_a_classifier(tmp_path_factory.mktemp("classification"))


@pytest.fixture(scope="session")
def detection_run(tmp_path_factory):
    """A detector's run that nothing interrupted. Tests must not change it."""
    from training_runs import finished_run_of_a_detector

    return finished_run_of_a_detector(tmp_path_factory.mktemp("detection"))


@pytest.fixture
def video(tmp_path):
    """Twelve frames in which a red square moves to the right, four pixels per frame."""
    pytest.importorskip("av", reason="videos need PyAV")
    from cspdarknet.inference.video import write_video

    frames = (paint((48, 81), [("red", 4 + 4 * i, 8, 24 + 4 * i, 28)]) for i in range(12))
    write_video(tmp_path / "clip.mp4", frames, Fraction(10))
    return tmp_path / "clip.mp4"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Starts a stand-in for Hugging Face's hub, which the client uses, with an empty cache."""
    constants = pytest.importorskip("huggingface_hub.constants")
    server = HubServer()
    template = f"{server.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr("time.sleep", lambda seconds: None)  # before the client tries again
    monkeypatch.delenv("HF_TOKEN", raising=False)
    yield server
    server.stop()


@pytest.fixture
def logged_in(hub, monkeypatch):
    """A login at the stand-in of the hub."""
    hub.tokens = {"secret"}
    monkeypatch.setenv("HF_TOKEN", "secret")
