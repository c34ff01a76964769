"""The presets that come with the package, and what their cards say of them."""

import re

import numpy as np
import pytest

from cspdarknet.data.classification.dataset import load_classification_split
from cspdarknet.data.detection.find import load_detection_split
from cspdarknet.evaluate import evaluate, evaluate_detector
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.presets.records import BUNDLED
from support import SHARED, relative_error

NAME = "csp_darknet_tiny_clothing"
CLOTHING = SHARED / "data/clothing"
DETECTOR = "yolox_nano_bccd"
BCCD = SHARED / "data/bccd"


@pytest.fixture
def no_network(monkeypatch):
    import socket

    def refuse(*_, **__):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


def test_classifier_and_backbone_come_from_one_set_of_files(no_network):
    classifier = ImageClassifier.from_preset(NAME)
    backbone = CSPDarkNetBackbone.from_preset(NAME)
    x = np.random.default_rng(0).uniform(0, 255, (1, 61, 90, 3)).astype("float32")
    inside = classifier.backbone.predict(x, verbose=0)
    assert relative_error(backbone.predict(x, verbose=0), inside) == 0
    assert len(classifier.class_names) == classifier.num_classes == 10
    assert sum(f.stat().st_size for f in (BUNDLED / NAME).iterdir()) <= 6e6


@pytest.mark.one_backend
def test_the_head_is_new_for_other_classes(no_network):
    trained = CSPDarkNetBackbone.from_preset(NAME)
    other = ImageClassifier.from_preset(NAME, num_classes=3)
    assert other.class_names is None
    for a, b in zip(trained.get_weights(), other.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(not CLOTHING.is_dir(), reason=f"the photos are not at {CLOTHING}")
def test_the_accuracy_is_that_of_the_card():
    card = (BUNDLED / NAME / "README.md").read_text()
    stated = float(re.search(r"accuracy on the validation photos \| \*\*([\d.]+)%", card)[1]) / 100
    model = ImageClassifier.from_preset(NAME)
    found = evaluate(model, load_classification_split(CLOTHING, model.class_names))
    assert len(found.photos) == 341
    # Rounding on another backend may turn one photo whose two likeliest classes are nearly even.
    assert found.accuracy == pytest.approx(stated, abs=1.5 / 341)
    assert stated >= 0.78
    record = ImageClassifier.presets[NAME]["metadata"]["description"]
    assert f"{round(stated * 100)} %" in record


def test_a_detector_without_the_network(no_network):
    detector = YOLOXDetector.from_preset(DETECTOR)
    assert detector.class_names == ("Platelets", "RBC", "WBC")
    backbone = CSPDarkNetBackbone.from_preset(DETECTOR)
    for a, b in zip(backbone.get_weights(), detector.backbone.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    assert sum(f.stat().st_size for f in (BUNDLED / DETECTOR).iterdir()) <= 3e6


@pytest.mark.one_backend
@pytest.mark.skipif(not BCCD.is_dir(), reason=f"the photos are not at {BCCD}")
def test_the_precision_is_that_of_the_card():
    card = (BUNDLED / DETECTOR / "README.md").read_text()
    stated = float(re.search(r"validation photos \| \*\*([\d.]+)\*\*", card)[1])
    stated50 = float(re.search(r"mAP@0.75 \| \*\*([\d.]+)\*\*", card)[1])
    detector = YOLOXDetector.from_preset(DETECTOR)
    part = load_detection_split(BCCD, detector.class_names, on_problem="fix")
    assert (part.name, len(part.photos)) == ("validation", 87)
    figures = evaluate_detector(detector, part.photos).average_precision
    assert figures.map == pytest.approx(stated, abs=2e-3)
    assert figures.map50 == pytest.approx(stated50, abs=2e-3)
    assert stated >= 0.58
    assert stated50 >= 0.88
