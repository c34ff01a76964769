"""Trainings of multi-label classifiers and of classifiers of ordered classes."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
from rich.console import Console

from cspdarknet.data import ClassificationAugmentation, load_classification_split
from cspdarknet.evaluate import evaluate_classifier
from cspdarknet.export import export
from cspdarknet.inference import Predictor
from cspdarknet.models import ImageClassifier, load_model
from cspdarknet.train import ClassificationRecipe, Phase, train_classifier
from cspdarknet.train.differences import differences
from image_datasets import COLORS, write_class_folders, write_multi_label_dataset, write_preset
from training_runs import quick_training

pytestmark = pytest.mark.one_backend

PLAIN = ClassificationAugmentation((0.9, 1.0), flip=0.0, rand_augment=0, erase=0.0)
RECIPE = ClassificationRecipe(
    phases=(Phase(5, 32),),
    batch_size=8,
    learning_rate=0.01,
    label_smoothing=0.0,
    batch_norm_momentum=0.5,
    ema_decay=0.5,
    labels="multi",
    class_weights="balanced",
    augmentation=PLAIN,
)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A multi-label classifier of three colors."""
    folder = tmp_path_factory.mktemp("multi_label")
    keras.utils.set_random_seed(0)
    data = write_multi_label_dataset(folder / "images", 80)
    preset = write_preset(folder / "preset")
    quiet = {"console": Console(quiet=True)}
    quick_training(train_classifier, data, folder / "run", preset, RECIPE, **quiet)
    return folder


def test_a_multi_label_classifier_learns(run):
    rows = [json.loads(line) for line in (run / "run/metrics.jsonl").read_text().splitlines()]
    best = max(rows, key=lambda row: row["val_map"])
    assert best["best"]
    assert best["val_map"] > 0.95
    names = {path.name for path in (run / "run").iterdir()}
    assert {"average_precision.png", "predictions.csv", "evaluation.json"} <= names
    settings = json.loads((run / "run/run.json").read_text())
    assert settings["recipe"]["labels"] == "multi"
    assert settings["class_names"] == list(COLORS)  # as the columns of the table


def test_the_thresholds_of_the_best_f1_are_stored_and_used(run):
    model = load_model(run / "run")
    assert (model.labels, model.activation) == ("multi", "sigmoid")
    metrics = json.loads((run / "run/evaluation.json").read_text())
    thresholds = [c["threshold"] for c in metrics["classes"]]
    assert np.broadcast_to(model.score_threshold, 3).tolist() == thresholds != [0.5] * 3
    test = write_multi_label_dataset(run / "test", 20, seed=1)
    split = load_classification_split(test, model.class_names, labels="multi")
    evaluation = evaluate_classifier(model, split.dataset)
    assert list(evaluation.score_thresholds) == thresholds
    assert evaluation.map > 0.9


def test_an_exported_file_gives_the_same_probabilities(run, tmp_path):
    pytest.importorskip("onnxruntime")
    model = ImageClassifier.from_preset(run / "run/best")
    export(model, tmp_path / "model.onnx")
    exported = Predictor(tmp_path / "model.onnx", runtime="onnxruntime")
    own = Predictor(model, runtime="keras")
    assert exported.info.labels == "multi"
    assert exported.info.score_threshold == model.score_threshold
    image = run / "images/0.png"
    np.testing.assert_allclose(exported(image), own(image), atol=1e-5)
    assert not np.isclose(own(image).sum(), 1)


def test_a_continued_training_has_the_same_labels(run):
    data, preset = run / "images", run / "preset"
    other = replace(RECIPE, labels="single")
    with pytest.raises(ValueError, match="train with `--labels multi`"):
        train_classifier(data, run / "run", preset, other, console=Console(quiet=True))
    options = {"console": Console(quiet=True)}
    history = quick_training(train_classifier, data, run / "run", preset, RECIPE, **options)
    assert len(history) == 5  # nothing was left to train
    found = differences({"recipe": RECIPE.to_json()}, {"recipe": other.to_json()})
    assert found == ["labels multi → default"]
    before = {"recipe": {k: v for k, v in other.to_json().items() if k != "labels"}}
    assert not differences(before, {"recipe": other.to_json()})


def test_ordered_classes_are_chosen_by_kappa(tmp_path):
    """The order is that of the user; the classes are folders of colors."""
    data, preset = write_class_folders(tmp_path / "images", 3), write_preset(tmp_path / "preset")
    recipe = replace(RECIPE, phases=(Phase(2, 32),), labels="ordinal", class_weights="equal")
    options = {"console": Console(quiet=True), "class_names": ["red", "blue", "green"]}
    history = quick_training(train_classifier, data, tmp_path / "run", preset, recipe, **options)
    best = max(history, key=lambda row: (row["best"], row["epoch"]))
    assert best["val_kappa"] == max(row["val_kappa"] for row in history)
    model = load_model(tmp_path / "run")
    assert (model.labels, model.class_names) == ("ordinal", ("red", "blue", "green"))
    metrics = json.loads((tmp_path / "run/evaluation.json").read_text())
    assert {"quadratic_weighted_kappa", "mean_absolute_error", "within_one"} <= set(metrics)
    assert "within one rank" in (tmp_path / "run/report.html").read_text()
    del options["class_names"]
    with pytest.raises(ValueError, match=r"--class-names LOW,\.\.\.,HIGH"):
        train_classifier(data, tmp_path / "other", preset, recipe, **options)
