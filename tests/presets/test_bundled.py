"""The bundled models, and what their model cards state."""

import json
import re

import numpy as np
import pytest

from cspdarknet.data.classification.find import load_classification_split
from cspdarknet.data.detection.find import load_detection_split
from cspdarknet.evaluate import evaluate_classifier, evaluate_detector, score_threshold_of
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from cspdarknet.presets.records import BUNDLED, PRESETS
from cspdarknet.train import ClassificationRecipe, DetectionRecipe
from support import SHARED, assert_same_weights, relative_error

CLASSIFIER = "csp_darknet_tiny_clothing"
CLOTHING = SHARED / "data/clothing"
DETECTOR = "yolox_nano_bccd"
BCCD = SHARED / "data/bccd"


def test_classifier_and_backbone_come_from_one_set_of_files(offline):
    classifier = ImageClassifier.from_preset(CLASSIFIER)
    backbone = CSPDarkNetBackbone.from_preset(CLASSIFIER)
    x = np.random.default_rng(0).uniform(0, 255, (1, 61, 90, 3)).astype("float32")
    expected = classifier.backbone.predict(x, verbose=0)
    assert relative_error(backbone.predict(x, verbose=0), expected) == 0
    assert len(classifier.class_names) == classifier.num_classes == 10


@pytest.mark.one_backend
def test_the_head_is_new_for_other_classes(offline):
    other = ImageClassifier.from_preset(CLASSIFIER, num_classes=3)
    assert other.class_names is None
    assert_same_weights(other.backbone, CSPDarkNetBackbone.from_preset(CLASSIFIER))


@pytest.mark.one_backend
def test_detector_and_backbone_come_from_one_set_of_files(offline):
    detector = YOLOXDetector.from_preset(DETECTOR)
    assert detector.class_names == ("Platelets", "RBC", "WBC")
    assert_same_weights(CSPDarkNetBackbone.from_preset(DETECTOR), detector.backbone)


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("name", "recipe_class", "megabytes"),
    [(CLASSIFIER, ClassificationRecipe, 6), (DETECTOR, DetectionRecipe, 3)],
)
def test_files(name, recipe_class, megabytes):
    """The recipe in the metadata can be used again, and no path of a machine is in it."""
    assert sum(file.stat().st_size for file in (BUNDLED / name).iterdir()) <= megabytes * 1e6
    metadata = json.loads((BUNDLED / name / "metadata.json").read_text())
    run = metadata["source"]["run"]
    recipe = recipe_class.from_json(run["recipe"])
    assert recipe.epochs == sum(phase["epochs"] for phase in run["recipe"]["phases"])
    assert "data" not in run
    license = PRESETS[name].license
    assert metadata["source"]["license"] == license
    assert f"| license of the weights | {license} |" in (BUNDLED / name / "README.md").read_text()


@pytest.mark.skipif(not CLOTHING.is_dir(), reason=f"the images are not at {CLOTHING}")
def test_the_accuracy_is_that_of_the_card():
    card = (BUNDLED / CLASSIFIER / "README.md").read_text()
    stated = float(re.search(r"accuracy on the validation images \| \*\*([\d.]+)%", card)[1]) / 100
    model = ImageClassifier.from_preset(CLASSIFIER)
    split = load_classification_split(CLOTHING, model.class_names)
    evaluation = evaluate_classifier(model, split.dataset)
    assert len(evaluation.dataset) == 341
    # Rounding on another backend may change the prediction of an image between two even classes.
    assert evaluation.accuracy == pytest.approx(stated, abs=1.5 / 341)
    assert stated >= 0.84
    record = ImageClassifier.presets[CLASSIFIER]["metadata"]["description"]
    assert f"{stated * 100:.1f} %" in record


@pytest.mark.slow
@pytest.mark.one_backend
@pytest.mark.skipif(not BCCD.is_dir(), reason=f"the images are not at {BCCD}")
def test_the_precision_is_that_of_the_card():
    card = (BUNDLED / DETECTOR / "README.md").read_text()
    stated = float(re.search(r"validation images \| \*\*([\d.]+)\*\*", card)[1])
    stated50 = float(re.search(r"mAP@0.75 \| \*\*([\d.]+)\*\*", card)[1])
    detector = YOLOXDetector.from_preset(DETECTOR)
    split = load_detection_split(BCCD, detector.class_names, on_problem="fix")
    assert (split.name, len(split.dataset)) == ("validation", 87)
    evaluation = evaluate_detector(detector, split.dataset)
    metrics = evaluation.average_precision
    assert metrics.map == pytest.approx(stated, abs=2e-3)
    assert metrics.map50 == pytest.approx(stated50, abs=2e-3)
    assert stated >= 0.58
    assert stated50 >= 0.88
    record = YOLOXDetector.presets[DETECTOR]["metadata"]["description"]
    assert f"{stated:.2f} mAP@0.5:0.95" in record
    # The default threshold, and what it counts.
    proposals = evaluation.thresholds("count")
    assert detector.score_threshold == pytest.approx(score_threshold_of(proposals), abs=0.01)
    for c in proposals:
        row = re.search(
            rf"\| {c.name} \| (\d+) \| [\d. |]+ \| (\d+) \| ([\d.]+) \| ([\d.]+) \|", card
        )
        assert int(row[1]) == c.boxes
        assert int(row[2]) == pytest.approx(c.detections, abs=0.01 * c.boxes)
        assert float(row[4]) == pytest.approx(c.recall, abs=0.01)
    red = proposals[detector.class_names.index("RBC")]
    assert abs(red.detections / red.boxes - 1) <= 0.05
