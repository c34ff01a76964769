"""Fixtures of the tests of presets."""

import shutil
from pathlib import Path

import keras
import pytest

from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from support import TINY_NET, randomize

NAMES = ["cat", "dog", "owl"]


@pytest.fixture
def offline(monkeypatch):
    """Fails any attempt to open a connection."""

    def refuse(*args, **kwargs):
        raise OSError("no network in this test")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)


@pytest.fixture(scope="session")
def backbone():
    return randomize(CSPDarkNetBackbone(**TINY_NET, include_rescaling=True))


@pytest.fixture(scope="session")
def classifier():
    inner = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    arguments = {"num_classes": 3, "class_names": NAMES, "dropout": 0.5, "image_size": 48}
    return randomize(ImageClassifier(inner, **arguments), seed=1)


@pytest.fixture(scope="session")
def saved_presets(backbone, classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("presets")
    backbone.save_to_preset(folder / "backbone")
    classifier.save_to_preset(folder / "classifier")
    return folder


@pytest.fixture
def preset(saved_presets, tmp_path):
    """The preset folder of `backbone`, which the test may damage."""
    return shutil.copytree(saved_presets / "backbone", tmp_path / "preset")


@pytest.fixture
def classifier_preset(saved_presets, tmp_path):
    """The preset folder of `classifier`, which the test may damage."""
    return shutil.copytree(saved_presets / "classifier", tmp_path / "classifier")


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Serves a content from every URL, and returns the list of the requested ones.

    Like Keras, it takes a file that is there already for the whole download.
    """
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "home"))

    def start(content):
        requests = []

        def get_file(name, origin, cache_dir, cache_subdir):
            path = Path(cache_dir) / cache_subdir / name
            if not path.exists():
                requests.append(origin)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            return str(path)

        monkeypatch.setattr(keras.utils, "get_file", get_file)
        return requests

    return start
