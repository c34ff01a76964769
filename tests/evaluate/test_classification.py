"""Figures about a classifier's predictions, and the commands that show them."""

import csv
import json
import math

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from cspdarknet.cli import app
from cspdarknet.data import ClassificationDataset
from cspdarknet.evaluate import ClassificationEvaluation, classify, evaluate, wilson_interval
from cspdarknet.images import center_crop, open_image
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from cspdarknet.reports.mistakes import draw_mistakes
from photo_sets import COLORS, write_photos
from support import needs_channels_first


@pytest.fixture
def classifier():
    backbone = CSPDarkNetBackbone([8, 12], [1, 1], include_rescaling=True)
    return ImageClassifier(backbone, 3, class_names=list(COLORS), image_size=32)


@pytest.fixture
def evaluation(tmp_path):
    """Five photos of three classes; the last class is never predicted."""
    write_photos(tmp_path, 2)
    paths = sorted(tmp_path.rglob("*.png"))[:5]
    probabilities = [
        *([0.7, 0.2, 0.1], [0.3, 0.6, 0.1]),  # blue: right, wrong
        *([0.1, 0.8, 0.1], [0.05, 0.9, 0.05]),  # green: right, right
        [0.015, 0.98, 0.005],  # red: wrong, and sure
    ]
    photos = ClassificationDataset(tuple(COLORS), tuple(paths), np.array([0, 0, 1, 1, 2]))
    return ClassificationEvaluation(photos, np.array(probabilities), {})


@pytest.mark.one_backend
def test_figures_against_those_of_scikit_learn(evaluation):
    metrics = pytest.importorskip("sklearn.metrics")
    truth, predicted = evaluation.photos.labels, evaluation.predicted
    assert evaluation.accuracy == metrics.accuracy_score(truth, predicted) == 0.6
    assert evaluation.loss == pytest.approx(metrics.log_loss(truth, evaluation.probabilities))
    np.testing.assert_array_equal(evaluation.confusion, metrics.confusion_matrix(truth, predicted))
    expected = metrics.precision_recall_fscore_support(truth, predicted, zero_division=0)
    for i, figures in enumerate(evaluation.classes):
        assert figures.photos == expected[3][i]
        assert figures.recall == pytest.approx(expected[1][i])
        assert figures.f1 == pytest.approx(expected[2][i])
    assert math.isnan(evaluation.classes[2].precision)  # nothing was taken for red
    assert evaluation.top(2) == pytest.approx(
        metrics.top_k_accuracy_score(truth, evaluation.probabilities, k=2)
    )


@pytest.mark.one_backend
def test_mistakes_come_surest_first(evaluation):
    assert evaluation.mistakes == [4, 1]
    sheet = draw_mistakes(evaluation)
    assert sheet.width > sheet.height
    first = np.asarray(sheet.crop((20, 20, 120, 120))).mean(axis=(0, 1))
    assert first.argmax() == 0  # a red photo
    assert (
        draw_mistakes(ClassificationEvaluation(evaluation.photos.take([0]), np.eye(3)[:1], {}))
        is None
    )


@pytest.mark.one_backend
def test_wilson_interval_against_published_figures():
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for n, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson_interval(n, trials) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize("activation", ["softmax", None])
def test_classify_gives_what_predict_gives(classifier, tmp_path, activation):
    paths = sorted(write_photos(tmp_path, 2).rglob("*.png"))
    model = ImageClassifier.from_config({**classifier.get_config(), "activation": activation})
    model.set_weights(classifier.get_weights())
    found = classify(model, paths, batch_size=4)
    images = np.stack([center_crop(open_image(path), 32) for path in paths]).astype("float32")
    np.testing.assert_allclose(
        found.probabilities, classifier.predict(images, verbose=0), atol=1e-5
    )


@needs_channels_first
def test_channels_first_models_are_fed_as_they_want(tmp_path):
    paths = sorted(write_photos(tmp_path, 1).rglob("*.png"))
    last = ImageClassifier(CSPDarkNetBackbone([8, 12], [1, 1], True), 3)
    first = ImageClassifier(
        CSPDarkNetBackbone([8, 12], [1, 1], True, data_format="channels_first"), 3
    )
    first.set_weights(last.get_weights())
    a, b = (classify(model, paths, size=32).probabilities for model in (last, first))
    np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.one_backend
def test_photos_that_cannot_be_read_are_named(classifier, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"")
    Image.new("RGB", (20, 20)).save(tmp_path / "good.png")
    found = classify(classifier, [tmp_path / "bad.jpg", tmp_path / "good.png"])
    assert found.readable.tolist() == [False, True]
    assert list(found.errors) == [tmp_path / "bad.jpg"]
    photos = ClassificationDataset(("a", "b", "c"), (tmp_path / "bad.jpg",), np.array([0]))
    with pytest.raises(ValueError, match="None of the photos"):
        evaluate(classifier, photos)


@pytest.mark.one_backend
def test_one_pixel_photos(classifier, tmp_path):
    Image.new("RGB", (1, 1), "red").save(tmp_path / "dot.png")
    Image.new("RGB", (1, 900), "red").save(tmp_path / "line.png")
    assert classify(classifier, sorted(tmp_path.iterdir())).readable.all()


# Commands.


@pytest.fixture
def preset(classifier, tmp_path):
    classifier.save_to_preset(tmp_path / "preset")
    return str(tmp_path / "preset")


def run(*arguments):
    return CliRunner().invoke(app, [str(a) for a in arguments], env={"COLUMNS": "160"})


@pytest.mark.one_backend
def test_predict_writes_what_the_model_says(preset, classifier, tmp_path):
    photos = write_photos(tmp_path / "photos", 2)
    result = run("predict", preset, photos, "--out", tmp_path / "a.csv", "--top", 2)
    assert result.exit_code == 0, result.output
    rows = list(csv.DictReader((tmp_path / "a.csv").open()))
    expected = classify(classifier, sorted(photos.rglob("*.png")))
    assert len(rows) == 6 * 2
    for i, row in enumerate(rows[::2]):
        best = int(expected.probabilities[i].argmax())
        assert row["class"] == list(COLORS)[best]
        assert float(row["probability"]) == pytest.approx(expected.probabilities[i, best], abs=1e-4)
    run("predict", preset, photos, "--out", tmp_path / "a.json")
    entries = json.loads((tmp_path / "a.json").read_text())
    assert entries[0]["classes"][0]["name"] == rows[0]["class"]


@pytest.mark.one_backend
def test_predict_reports_what_is_no_photo(preset, tmp_path):
    photos = write_photos(tmp_path / "photos", 1)
    (photos / "bad[1].jpg").write_bytes(b"")
    result = run("predict", preset, photos)
    assert result.exit_code == 1
    assert "bad[1].jpg" in result.output
    assert "blue" in result.output


@pytest.mark.one_backend
def test_evaluate_shows_figures_and_writes_a_page(preset, classifier, tmp_path):
    photos = write_photos(tmp_path / "photos", 3)
    result = run("evaluate", preset, photos, "--out", tmp_path / "page")
    assert result.exit_code == 0, result.output
    figures = json.loads((tmp_path / "page/evaluation.json").read_text())
    assert figures["photos"] == 9
    assert f"accuracy {figures['accuracy']:.2%} of 9 photos" in result.output
    assert (tmp_path / "page/report.html").exists()


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["predict", "no_such_preset", "{}"], "Unknown preset"),
        (["predict", "{p}", "{}", "--out", "a.txt"], ".csv or .json"),
        (["predict", "{p}", "missing.jpg"], "no file or folder"),
        (["evaluate", "{p}", "missing"], "missing"),
    ],
)
def test_what_cannot_be_done_is_said(preset, tmp_path, arguments, message):
    photos = write_photos(tmp_path / "photos", 1)
    result = run(*(a.replace("{p}", preset).replace("{}", str(photos)) for a in arguments))
    assert isinstance(result.exception, ValueError)
    assert message in str(result.exception)


@pytest.mark.one_backend
def test_a_run_without_a_finished_epoch(tmp_path):
    (tmp_path / "run.json").write_text("{}")
    result = run("predict", tmp_path, tmp_path)
    assert "no finished epoch" in str(result.exception) or "no photo" in str(result.exception)
