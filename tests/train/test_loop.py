"""The training loop: what it trains, which epoch is the best, and how it continues."""

import csv
import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from cspdarknet.models import ImageClassifier
from cspdarknet.train import ClassificationRecipe, DetectionRecipe, Phase, customize, loop
from cspdarknet.train.loop import Training, set_trained_layers
from cspdarknet.train.run_folder import RunFolder
from cspdarknet.train.tasks import ClassificationTask, DetectionTask


def assert_same_models(run, out):
    for which in ("last", "best"):
        expected, arrays = run.weights(which), run.weights(which, out)
        assert expected.keys() == arrays.keys()
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, expected[name])


def assert_same_metrics(run, out, names):
    with (out / "metrics.csv").open() as a, (run.path / "metrics.csv").open() as b:
        for row, expected in zip(csv.DictReader(a), csv.DictReader(b), strict=True):
            assert {name: row[name] for name in names} == {name: expected[name] for name in names}


# What is trained.


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("train", "trained"),
    [
        ("head", {"predictions"}),
        ("P3", {"predictions", "dark3"}),
        ("P2", {"predictions", "dark3", "dark2"}),
        ("all", {"predictions", "dark3", "dark2", "stem"}),
    ],
)
def test_the_layers_that_a_phase_trains(tiny_net, train, trained):
    classifier = ImageClassifier(tiny_net, 3)
    set_trained_layers(classifier, "head")
    set_trained_layers(classifier, train)
    layers = {v.path.split("/")[-2].split("_")[0] for v in classifier.trainable_variables}
    assert layers == trained


@pytest.mark.one_backend
def test_layers_that_do_not_exist(tiny_net):
    with pytest.raises(ValueError, match=r"'all', 'head' or a pyramid level \(P2, P3\)\. Rec"):
        set_trained_layers(ImageClassifier(tiny_net, 3), "P9")


# Which epoch is the best, and when the training stops.


def training(task, scores, sizes=None, **values):
    """A training with a history of validation scores; it has no model."""
    row = dict.fromkeys(task.validation_metrics)
    history = [
        {
            **{"epoch": epoch, **row, "image_size": size},
            **dict(zip(task.validation_metrics, score, strict=True)),
        }
        for epoch, (score, size) in enumerate(
            zip(scores, sizes or [32] * len(scores), strict=True), 1
        )
    ]
    return Training(task, None, None, None, None, None, None, history=history)


def is_best(task, scores, sizes=None):
    """Whether each epoch was the best when it was finished."""
    whole = training(task, scores, sizes).history
    result = []
    for i, row in enumerate(whole):
        so_far = training(task, scores[:i], None if sizes is None else sizes[:i])
        result.append(so_far._is_best(row))
    return result


CLASSIFICATION = ClassificationTask(ClassificationRecipe((Phase(9, 32),), ema_decay=0))
DETECTION = DetectionTask(DetectionRecipe((Phase(9, 32),), ema_decay=0))
NOTHING = (None, None)


@pytest.mark.one_backend
def test_the_best_epoch_has_the_highest_score_then_the_lowest_loss():
    # Loss and accuracy.
    scores = [NOTHING, (0.9, 0.5), (0.8, 0.5), (0.85, 0.5), (2.0, 0.6), NOTHING]
    scores += [(0.1, 0.55), (0.1, 0.58)]  # better than the one before, not than all
    expected = [False, True, True, False, True, False, False, False]
    assert is_best(CLASSIFICATION, scores) == expected
    # mAP and mAP at IoU 0.5; of equal epochs, the last.
    scores = [(0.0, 0.0), (0.0, 0.1), (0.0, 0.1), (0.0, 0.05), (0.1, 0.1)]
    assert is_best(DETECTION, scores) == [True, True, True, False, True]


@pytest.mark.one_backend
def test_epochs_of_the_final_image_size_are_better_than_all_others():
    scores = [(0.1, 0.9), (0.1, 0.95), (0.9, 0.4), (0.9, 0.3)]
    expected = [True, True, True, False]
    assert is_best(CLASSIFICATION, scores, [16, 16, 32, 32]) == expected


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("accuracies", "stopped"),
    [
        ([], False),
        ([0.5, 0.4], False),
        ([0.5, 0.4, 0.4], True),
        ([0.5, 0.5, 0.5], True),
        ([0.5, 0.4, 0.6, 0.5], False),
        ([0.5, None, None, 0.6], False),
    ],
)
def test_patience(accuracies, stopped):
    scores = [(1.0, accuracy) for accuracy in accuracies]
    task = ClassificationTask(customize(CLASSIFICATION.recipe, patience=2))
    assert training(task, scores).stopped_early == stopped
    assert not training(CLASSIFICATION, scores).stopped_early


@pytest.mark.one_backend
def test_patience_counts_epochs_without_an_evaluation():
    """With an evaluation in every third epoch, two epochs of patience are over at the next one."""
    task = ClassificationTask(customize(CLASSIFICATION.recipe, patience=2, evaluate_every=3))
    scores = [NOTHING, NOTHING, (1.0, 0.5), NOTHING, NOTHING, (1.0, 0.4)]
    stopped = [training(task, scores[:epochs]).stopped_early for epochs in (3, 4, 6)]
    assert stopped == [False, False, True]


@pytest.mark.one_backend
def test_patience_counts_epochs_of_the_last_optimizer_and_image_size_only():
    recipe = dataclasses.replace(
        CLASSIFICATION.recipe, phases=(Phase(3, 32, "head"), Phase(2, 16), Phase(9, 32)), patience=2
    )
    task, sizes = ClassificationTask(recipe), [32] * 3 + [16] * 2 + [32] * 3
    scores = [(1.0, 0.9)] * 3 + [(1.0, 0.8)] * 2 + [(1.0, 0.5)] * 3
    for finished in range(8):
        assert not training(task, scores[:finished], sizes[:finished]).stopped_early
    assert training(task, scores, sizes).stopped_early


@pytest.mark.one_backend
def test_a_training_that_stopped_early_stays_stopped(classification_run, tmp_path):
    run = classification_run
    # Frozen layers and a learning rate of almost 0: the accuracy cannot rise after the first epoch.
    recipe = customize(run.recipe, learning_rate=1e-12, patience=1)
    recipe = dataclasses.replace(recipe, phases=(Phase(5, 32, "head"),))
    history = run.train(out=tmp_path / "run", recipe=recipe)
    assert len(history) == 2
    assert run.train(out=tmp_path / "run", recipe=recipe) == history


# Training.


@pytest.mark.one_backend
def test_a_training_learns(classification_run, tmp_path):
    recipe = ClassificationRecipe(
        (Phase(8, 32),), batch_size=6, learning_rate=5e-3, ema_decay=0.5, batch_norm_momentum=0.5
    )
    history = classification_run.train(out=tmp_path / "run", recipe=recipe)
    assert max(row["val_accuracy"] for row in history) == 1
    assert history[-1]["loss"] < history[0]["loss"]


def test_a_loss_that_is_not_finite_stops_the_training(classification_run, tmp_path):
    recipe = customize(classification_run.recipe, learning_rate=1e30)
    with pytest.raises(ValueError, match=r"The loss is \S+ in epoch .* lower learning rate"):
        classification_run.train(out=tmp_path / "run", recipe=recipe)


@pytest.mark.one_backend
def test_the_ema_follows_the_steps_of_the_optimizer(classification_run, tmp_path):
    recipe = customize(classification_run.recipe, batch_size=3, accumulate=3)  # 2 batches an epoch
    with pytest.raises(ValueError, match=r"`accumulate` must be at most 2, .* Accumulate fewer"):
        classification_run.train(out=tmp_path / "a", recipe=recipe)
    recipe = dataclasses.replace(recipe, phases=(Phase(3, 32),))
    classification_run.train(out=tmp_path / "b", recipe=recipe)
    with np.load(tmp_path / "b/state.npz") as state:
        assert state["averages/counts"].tolist() == [2, 6]


@pytest.mark.one_backend
def test_the_ema_counts_the_batches_of_each_optimizer(classification_run, tmp_path):
    # Three batches with each of two optimizers, both of which step after the second one.
    recipe = customize(classification_run.recipe, batch_size=2, accumulate=2)
    recipe = dataclasses.replace(recipe, phases=(Phase(1, 32, "head"), Phase(1, 32)))
    classification_run.train(out=tmp_path / "run", recipe=recipe)
    with np.load(tmp_path / "run/state.npz") as state:
        assert state["averages/counts"].tolist() == [2, 3]  # the statistics began anew


@pytest.mark.one_backend
def test_a_batch_without_a_readable_image(classification_run, tmp_path, monkeypatch):
    def batches(source, size, start, steps):
        source.failures[tmp_path] = "a.png: no such file."
        yield np.zeros((2, size, size, 3), "float32"), np.zeros((2, 3)), np.zeros(2)

    monkeypatch.setattr(loop, "training_batches", batches)
    with pytest.raises(ValueError, match=r"a\.png: no such file\. Run the same training again"):
        classification_run.train(out=tmp_path / "run")


@pytest.mark.one_backend
def test_one_predictor_evaluates_all_epochs_of_an_image_size():
    """It takes over the weights of each epoch: on JAX a compiled graph has copies of them."""
    calls = []
    predictor = SimpleNamespace(update_weights=lambda: calls.append("update"))

    def build(model, image_size, workers):
        calls.append(image_size)
        return predictor

    def evaluate(*arguments):
        assert arguments == (predictor, "dataset")
        calls.append("evaluate")

    task = SimpleNamespace(recipe=CLASSIFICATION.recipe, build_predictor=build, evaluate=evaluate)
    source = SimpleNamespace(workers=2)
    started = Training(task, None, None, source, "dataset", None, None)
    for image_size in (24, 24, 32):
        started._evaluate(image_size)
    assert calls == [24, "update", "evaluate", "update", "evaluate", 32, "update", "evaluate"]


@pytest.mark.one_backend
def test_the_best_model_is_evaluated_at_the_end(classification_run, tmp_path, monkeypatch):
    monkeypatch.setattr(Training, "_is_best", lambda self, row: row["epoch"] == 1)
    recipe = dataclasses.replace(classification_run.recipe, phases=(Phase(2, 32),), ema_decay=0)
    first, last = classification_run.train(out=tmp_path / "run", recipe=recipe)
    loss = json.loads((tmp_path / "run/evaluation.json").read_text())["loss"]
    assert loss == pytest.approx(first["val_loss"], rel=1e-6)
    assert abs(first["val_loss"] - last["val_loss"]) > 1e-4


# Interruptions.


class Interruption:
    """Interrupts a training before one of its evaluations or writes.

    Attributes:
        place: `"evaluate"`, `"save_preset"`, or the name of a file of the run folder.
        call: which of the calls at this place is interrupted, from 1.
    """

    def __init__(self, monkeypatch):
        self.place, self.call = None, 0
        save_preset, write = loop.save_preset, RunFolder.write

        def interrupted_save(model, folder):
            self.reach("save_preset")
            save_preset(model, folder)

        def interrupted_write(folder, name, function):
            self.reach(name)
            write(folder, name, function)

        monkeypatch.setattr(loop, "save_preset", interrupted_save)
        monkeypatch.setattr(RunFolder, "write", interrupted_write)
        for task in (ClassificationTask, DetectionTask):
            monkeypatch.setattr(task, "evaluate", staticmethod(self.interrupted(task.evaluate)))

    def interrupted(self, evaluate):
        def function(*arguments):
            self.reach("evaluate")
            return evaluate(*arguments)

        return function

    def reach(self, place):
        if place == self.place:
            self.call -= 1
            if self.call == 0:
                raise KeyboardInterrupt

    def train(self, run, out, *interruptions):
        """Interrupt a training at each place, one after another, and let it end."""
        for self.place, self.call in interruptions:
            with pytest.raises(KeyboardInterrupt):
                run.train(out=out)
            assert not (out / "report.html").exists()
        self.place = None
        run.train(out=out)


@pytest.fixture
def interruption(monkeypatch):
    return Interruption(monkeypatch)


@pytest.mark.one_backend
def test_a_training_may_be_interrupted_at_any_write(classification_run, interruption, tmp_path):
    interruption.train(
        classification_run,
        tmp_path / "run",
        *[("run.json", 1), ("skipped.csv", 1)],
        *[("evaluate", 1), ("save_preset", 1), ("save_preset", 2)],
        *[("metrics.csv", 1), ("metrics.jsonl", 1), ("state.npz", 1)],
        *[("evaluate", 2), ("metrics.csv", 2), ("state.npz", 1)],
        *[("evaluation.json", 1), ("report.html", 1)],
    )
    assert_same_models(classification_run, tmp_path / "run")
    names = ("epoch", "phase", "loss", "val_loss", "val_accuracy", "best")
    assert_same_metrics(classification_run, tmp_path / "run", names)


def test_an_interrupted_classifier_continues_to_the_same_weights(
    classification_run, interruption, tmp_path
):
    # After the first epoch of the second optimizer.
    interruption.train(classification_run, tmp_path / "run", ("evaluate", 3))
    assert_same_models(classification_run, tmp_path / "run")
    names = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
    assert_same_metrics(classification_run, tmp_path / "run", names)


@pytest.mark.one_backend
def test_an_interrupted_detector_continues_to_the_same_weights(
    detection_run, interruption, tmp_path
):
    # In the second epoch; the first one is not evaluated.
    # Then before its report, when the best model has its score thresholds.
    interruption.train(detection_run, tmp_path / "run", ("evaluate", 1), ("evaluation.json", 1))
    assert_same_models(detection_run, tmp_path / "run")
    names = ("epoch", "loss", "l1_loss", "val_map", "val_map50", "learning_rate")
    assert_same_metrics(detection_run, tmp_path / "run", names)
