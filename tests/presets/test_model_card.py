"""Model cards, and their metadata as Hugging Face's client reads them."""

import pytest

from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.models import CSPDarkNetBackbone, ImageRegressor, YOLOXDetector
from cspdarknet.presets import run_record
from cspdarknet.presets.model_card import model_card
from cspdarknet.presets.run_record import RunRecord
from cspdarknet.reports import evaluation as report
from cspdarknet.reports.detection import PRECISION_RECALL
from cspdarknet.reports.multi_label import AP_BARS
from cspdarknet.reports.regression import RESIDUALS, SCATTER

pytestmark = pytest.mark.one_backend

URI = "hf://me/net"
SETTINGS = {
    "data": "/home/me/photos/birds",
    "model": "/home/me/runs/old",
    "splits": {"train": {"images": 1200}, "validation": {"images": 300}},
    "recipe": {"phases": [{"epochs": 5, "image_size": 64}], "optimizer": "adamw"},
}
CLASSES = [{"name": "a|b <script>", "images": 4, "precision": None, "recall": 1.0, "f1": 0.5}]
ACCURACY = {
    "images": 300,
    "accuracy": 0.81234567,
    "top_5": float("nan"),
    "accuracy_95_percent_interval": [0.7, 0.9],
    "classes": CLASSES,
}


def config_of(model, **changes):
    return ModelConfig.from_arguments(model.get_config() | changes)


def card_of(model, record=None, license=None, examples=(), metadata=None, **changes):
    metadata = {"parameter_count": model.count_params(), **(metadata or {})}
    return model_card(URI, config_of(model, **changes), metadata, record, license, examples)


def data_of(card):
    """Return the metadata of a card, as the hub's own client reads and writes them."""
    hub = pytest.importorskip("huggingface_hub")
    data = hub.ModelCard(card).data
    assert hub.ModelCard(f"---\n{data.to_yaml()}\n---\n").data.to_dict() == data.to_dict()
    return data


@pytest.fixture(scope="module")
def detector():
    backbone = CSPDarkNetBackbone([4, 6, 8], [1, 1, 1], include_rescaling=False)
    return YOLOXDetector(backbone, 2, class_names=["cell", "nucleus"], image_size=64)


class TestText:
    def test_backbone(self, backbone):
        card = card_of(backbone)
        assert "classes" not in card
        assert f"| parameters | {backbone.count_params():,} |" in card
        assert 'feature_pyramid(["P3", "P4", "P5"])\n```\n' in card
        assert "## Metrics" not in card
        assert "## Training" not in card

    def test_classifier(self, classifier):
        card = card_of(classifier)
        assert "| classes | 3: cat, dog, owl |\n| trained on images of | 48 x 48 pixels |\n" in card
        assert "| channels of P2, P3, ... | [4, 6] |" in card
        multi = card_of(classifier, labels="multi")
        assert "| labels | any number of classes per image |" in multi
        code = card.split("```python\n")[1].split("```")[0]
        assert f'ImageClassifier.from_preset("{URI}")\n' in code
        compile(code, "card", "exec")

    def test_without_names_or_size(self, classifier):
        card = card_of(classifier, class_names=None, image_size=None)
        assert "| classes | 3: not named |\n| channels" in card

    def test_detector(self, detector):
        card = card_of(detector)
        assert "A YOLOX object detector" in card
        assert "| images are letterboxed to | 64 x 64 pixels |" in card
        assert "| classes | 2: cell, nucleus |" in card
        assert "| input | RGB image, 0..255 |" in card
        assert f'detector = YOLOXDetector.from_preset("{URI}")\n' in card

    def test_training_and_metrics(self, classifier):
        epochs = ({"seconds": "3600"}, {"seconds": "1800"})
        pictures = {"curves.png": "Learning curves"}
        card = card_of(classifier, RunRecord(SETTINGS, ACCURACY, epochs, pictures))
        assert "| train images | 1,200 |" in card
        assert "| phases of the recipe (epochs at pixels) | 5 at 64 |" in card
        assert "| training | 2 epochs, 1.5 hours |" in card
        assert "| initial weights | of another model |" in card
        assert "| Accuracy | 0.812 |" in card
        assert "| a\\|b &lt;script> | 4 | – | 1.000 | 0.500 |" in card
        assert "\n![Learning curves](curves.png)\n" in card
        assert "/home" not in card


def test_a_regressor():
    backbone = CSPDarkNetBackbone([4, 6], [1, 1], include_rescaling=True)
    model = ImageRegressor(backbone, ["age", "weight"], image_size=48)
    target = {"name": "age", "mae": 1.25, "rmse": 2.0, "r2": 0.75, "spearman": None}
    record = RunRecord(SETTINGS, {"images": 9, "r2": 0.75, "targets": [target]})
    card = card_of(model, record)
    assert "| targets | age, weight |\n| trained on images of | 48 x 48 pixels |\n" in card
    assert "| age | 1.250 | 2.000 | 0.750 | – |" in card
    assert "ImageRegressor.from_preset" in card
    (result,) = data_of(card).eval_results
    assert (result.task_type, result.metric_type) == ("image-regression", "r_squared")


class TestMetadata:
    def test_classifier(self, classifier):
        data = data_of(card_of(classifier, RunRecord(SETTINGS, ACCURACY), "MIT"))
        assert (data.library_name, data.license) == ("keras", "mit")
        assert data.pipeline_tag == "image-classification"
        assert {"cspdarknet", "classifier"} <= {*data.tags}
        (result,) = data.eval_results  # a metric that is not a number is left out
        assert (result.metric_type, result.metric_value) == ("accuracy", 0.8123)
        assert (result.dataset_name, result.dataset_split) == ("birds", "validation")
        assert data.model_name == "net"

    def test_detector(self, detector):
        settings = {"data": "hf:/datasets/me/cells@v1"}
        record = RunRecord(settings, {"images": 2, "map": 0.5, "map50": 0.75, "map75": None})
        data = data_of(card_of(detector, record, examples=["examples/a.jpg"]))
        assert data.pipeline_tag == "object-detection"
        assert data.datasets == ["me/cells"]
        assert [(r.metric_name, r.metric_value) for r in data.eval_results] == [
            ("mAP@0.5:0.95", 0.5),
            ("mAP@0.5", 0.75),
        ]
        assert {r.dataset_type for r in data.eval_results} == {"me/cells"}
        assert data.widget == [{"src": "examples/a.jpg", "example_title": "a"}]

    def test_backbone(self, backbone):
        data = data_of(card_of(backbone))
        assert data.pipeline_tag == "image-feature-extraction"
        assert data.eval_results is None

    @pytest.mark.parametrize(
        ("text", "license", "name"),
        [
            ("Apache-2.0", "apache-2.0", None),
            ("GPL-3.0-or-later", "gpl-3.0", None),
            ("My own: terms\n- x", "other", "my-own-terms-x"),
            (None, "unknown", None),
        ],
    )
    def test_licenses(self, backbone, text, license, name):
        data = data_of(card_of(backbone, license=text))
        assert (data.license, data.license_name) == (license, name)

    def test_the_license_that_is_stored(self, backbone):
        metadata = {"source": {"license": "CC0-1.0"}}
        assert data_of(card_of(backbone, metadata=metadata)).license == "cc0-1.0"

    @pytest.mark.parametrize(
        "name", ["no", "1: [", "a\x7f\x1b", "\udc80", "'\"\\", "---", "\u2028 end", "&a *b"]
    )
    def test_hostile_names(self, classifier, name):
        record = RunRecord({"data": f"/data/{name}"}, {"images": 1, "accuracy": 1.0})
        card = card_of(classifier, record, license=name)
        (result,) = data_of(card.encode().decode()).eval_results
        assert result.dataset_name.strip()


def test_the_files_of_a_report():
    names = (report.METRICS, report.CURVES, report.CONFUSION, PRECISION_RECALL, SCATTER, RESIDUALS)
    names = (*names, AP_BARS)
    assert {run_record.EVALUATION, *run_record.PICTURES} == {*names}
