"""A small model that the tests of bulk jobs share."""

import pytest

from cspdarknet.export import build_onnx
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from support import randomize

NAMES = ("red", "green", "blue")


@pytest.fixture(scope="session")
def classifier():
    backbone = CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True)
    return randomize(ImageClassifier(backbone, 3, class_names=NAMES, image_size=16))


@pytest.fixture(scope="session")
def model(classifier, tmp_path_factory):
    """The path of an exported classifier of three classes."""
    pytest.importorskip("onnxruntime", reason="exported models need ONNX Runtime")
    path = tmp_path_factory.mktemp("model") / "model.onnx"
    path.write_bytes(build_onnx(classifier).SerializeToString())
    return str(path)
