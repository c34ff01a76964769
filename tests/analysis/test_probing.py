"""`probe` and its classifiers."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from cspdarknet.analysis import Embedder, probe, probe_report
from cspdarknet.analysis.classifiers import _spared, fit_and_predict, knn, linear
from cspdarknet.analysis.probe_report import bootstrap_interval
from cspdarknet.analysis.probing import _draws
from cspdarknet.data import load_classification_dataset

pytestmark = pytest.mark.one_backend


@pytest.fixture
def blobs():
    """Two classes that a line separates in 12 features, for training and evaluation."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 2
    return rng.normal(size=(60, 12)) + 2 * labels[:, None], labels


def test_knn_is_a_weighted_vote():
    train = np.array([[1, 0], [0.8, 0.6], [0.8, 0.61]])
    labels = np.array([0, 1, 1])
    query = np.array([[1, 0.2]])
    one, three = knn(train, labels, [1, 3], query)
    cosines = (train / np.linalg.norm(train, axis=1)[:, None]) @ query[0] / np.linalg.norm(query)
    weights = np.exp(cosines / 0.07)
    assert weights[1] + weights[2] < weights[0]
    assert (one[0], three[0]) == (0, 0)
    closer = knn(train, labels, [1, 3], np.array([[1, 0.28]]))
    assert [classes[0] for classes in closer] == [0, 1]


def test_the_span_of_few_images_gives_the_same_linear_probe(blobs):
    vectors, labels = blobs
    few, few_labels = vectors[:8], labels[:8]
    models = pytest.importorskip("sklearn.linear_model")
    mean, deviation = few.mean(0), few.std(0)
    plain = models.LogisticRegression(C=0.1, max_iter=1000, tol=1e-8)
    plain.fit((few - mean) / deviation, few_labels)
    (found,) = linear(few, few_labels, [0.1], vectors)
    np.testing.assert_array_equal(found, plain.predict((vectors - mean) / deviation))


def test_settings_are_chosen_on_training_images_alone():
    """Some labels are wrong: one neighbor errs at them, and many are right."""
    rng = np.random.default_rng(0)
    labels = np.arange(800) % 2
    vectors = rng.normal(size=(800, 4)) + [[1, 1, 1, 1]] * (2 * labels[:, None] - 1)
    noisy = np.where(rng.random(800) < 0.3, 1 - labels, labels)
    train, new = slice(0, 600), slice(600, 800)
    chosen, classes = fit_and_predict("knn", vectors[train], noisy[train], vectors[new], seed=0)
    (nearest,) = knn(vectors[train], noisy[train], [1], vectors[new])
    assert chosen > 1
    assert (classes == labels[new]).mean() > (nearest == labels[new]).mean()
    again, same = fit_and_predict("knn", vectors[train], noisy[train], vectors[new], seed=0)
    assert again == chosen
    np.testing.assert_array_equal(same, classes)


def test_images_are_spared_of_large_classes_only():
    labels = np.repeat([0, 1, 2], [3, 4, 20])
    spared = _spared(labels, seed=0)
    assert np.bincount(labels[spared], minlength=3).tolist() == [0, 1, 4]
    assert fit_and_predict("knn", np.eye(2), np.arange(2), np.eye(2), 0)[0] == 1


def test_draws_are_of_each_class_and_repeat():
    labels = np.repeat([0, 1], [3, 30])
    first, second = _draws(labels, 5, 2, seed=0)
    assert np.bincount(labels[first]).tolist() == [3, 5]
    assert first.tolist() != second.tolist()
    assert next(_draws(labels, 5, 2, seed=0)).tolist() == first.tolist()


def test_bootstrap_intervals_cover_95_percent(monkeypatch):
    monkeypatch.setattr(probe_report, "RESAMPLES", 300)
    rng = np.random.default_rng(0)
    covered = 0
    for i in range(60):
        low, high = bootstrap_interval((rng.random(80) < 0.7).astype(float), seed=i)
        covered += low <= 0.7 <= high
    assert 50 <= covered <= 60
    assert bootstrap_interval(np.ones(5)) == (1, 1)


@pytest.fixture
def report(colors, preset, tmp_path):
    pytest.importorskip("sklearn")
    (colors / "red" / "bad.png").write_bytes(b"not an image")
    models = {"a $": preset, "b": preset}
    return probe(colors, models, shots=[2], draws=2, cache=tmp_path / "cache", runtime="keras")


def test_a_report_of_two_models(report, colors):
    splits = load_classification_dataset(colors)
    assert [(r.model, r.method, r.shots) for r in report.results] == [
        (model, method, shots)
        for model in ("a $", "b")
        for method in ("knn", "linear")
        for shots in (2, None)
    ]
    # The same model twice, on the same images: the same numbers.
    half = len(report.results) // 2
    for a, b in zip(report.results[:half], report.results[half:], strict=True):
        assert (a.accuracy, a.low, a.high) == (b.accuracy, b.low, b.high)
        assert 0 <= a.low <= a.accuracy <= a.high <= 1
        assert (a.features, a.draws) == (6, 1 if a.shots is None else 2)
    assert report.best.accuracy > 0.9
    assert (report.split, report.class_names) == ("validation", ("blue", "green", "red"))
    used = report.train_images + report.evaluated_images
    assert used == len(splits.train) + len(splits.validation) - 1
    assert "not an image" in next(iter(report.errors.values()))


def test_the_files_of_a_report(report):
    pytest.importorskip("matplotlib")
    lines = report.to_csv().splitlines()
    assert lines[0].startswith("model,method,shots,accuracy,low,high")
    assert len(lines) == 1 + len(report.results)
    assert report.to_json()["results"][0]["model"] == "a $"
    file = io.BytesIO()
    report.draw(file)
    assert Image.open(file).format == "PNG"


def test_a_repeated_probe_embeds_nothing(report, colors, preset, tmp_path, monkeypatch):
    embedded = []
    stream = Embedder.stream
    monkeypatch.setattr(
        Embedder,
        "stream",
        lambda self, images: stream(self, (embedded.append(i) or i for i in images)),
    )
    again = probe(colors, [preset], methods=["knn"], cache=tmp_path / "cache", runtime="keras")
    assert {path.name for path in embedded} == {"bad.png"}
    assert again.results[0].accuracy == report.results[1].accuracy
    (file,) = (tmp_path / "cache").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:100])
    damaged = probe(colors, [preset], methods=["knn"], cache=tmp_path / "cache", runtime="keras")
    assert damaged.results[0].accuracy == again.results[0].accuracy


@pytest.mark.parametrize(
    "wrong", [{"methods": []}, {"methods": "knn"}, {"shots": 5}, {"methods": ["svm"]}]
)
def test_wrong_options(colors, preset, wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        probe(colors, [preset], **wrong)


def test_a_test_split_is_evaluated(colors, preset, tmp_path):
    for split in ("train", "val", "test"):
        for name in ("blue", "red"):
            (tmp_path / "d" / split / name).mkdir(parents=True)
            for i in range(2):
                source = colors / name / f"{i + 2 * (split == 'test')}.png"
                (tmp_path / "d" / split / name / f"{split}{i}.png").write_bytes(source.read_bytes())
    report = probe(tmp_path / "d", [preset], methods=["knn"], runtime="keras")
    assert (report.split, report.train_images, report.evaluated_images) == ("test", 4, 4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"models": "preset"}, "list of models"),
        ({"models": []}, "one or more"),
        ({"models": ["a", "a"]}, "each once"),
        ({"models": ["a"], "shots": [0]}, "shots"),
        ({"models": ["a"], "methods": ["svm"]}, "methods"),
    ],
)
def test_invalid_arguments(options, message):
    with pytest.raises(ValueError, match=message):
        probe("no data", **options)


def test_without_scikit_learn(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ImportError, match=r"cspdarknet\[analysis\]"):
        probe("no data", ["a"])
