"""Images and models that the tests of the workbench share."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.analysis import Embeddings
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from image_datasets import write_class_folders
from support import randomize


@pytest.fixture(scope="session")
def classifier():
    backbone = randomize(CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True))
    return randomize(ImageClassifier(backbone, 3, image_size=32))


@pytest.fixture(scope="session")
def preset(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "preset"
    classifier.save_to_preset(folder)
    return folder


@pytest.fixture
def photos(tmp_path):
    """Six images of two sizes in two folders."""
    rng = np.random.default_rng(0)
    for i in range(6):
        path = tmp_path / "photos" / f"{i % 2}" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (40 + i % 3, 48, 3), "uint8")).save(path)
    return tmp_path / "photos"


@pytest.fixture
def colors(tmp_path):
    """Images of three classes, which any network tells apart."""
    return write_class_folders(tmp_path / "colors", per_class=6)


@pytest.fixture
def vectors():
    """Seventy vectors of which the first ones are repeated, in no order of their keys."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(70, 9)).astype("float32")
    values[50:] = values[:20]
    return Embeddings(values, [f"{i}.jpg" for i in rng.permutation(70)])
