"""Evaluation of classifiers."""

import numpy as np
import pytest
from PIL import Image

from cspdarknet.data import ClassificationDataset
from cspdarknet.evaluate import ClassificationEvaluation, evaluate_classifier, wilson_interval
from cspdarknet.export import export
from cspdarknet.images import center_crop, open_image
from cspdarknet.inference import Predictor
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from image_datasets import COLORS, write_class_folders
from support import TINY_NET, needs_channels_first, randomize


@pytest.fixture
def classifier():
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    return randomize(ImageClassifier(backbone, 3, class_names=list(COLORS), image_size=32))


@pytest.fixture
def dataset(tmp_path):
    """Two images of each of three classes."""
    paths = sorted(write_class_folders(tmp_path / "images", 2).rglob("*.png"))
    return ClassificationDataset(tuple(COLORS), tuple(paths), np.array([0, 0, 1, 1, 2, 2]))


@pytest.fixture
def evaluation(dataset):
    """Five images of three classes; the last class is never predicted."""
    probabilities = [
        *([0.7, 0.2, 0.1], [0.3, 0.6, 0.1]),  # blue: correct, wrong
        *([0.1, 0.8, 0.1], [0.05, 0.9, 0.05]),  # green: correct, correct
        [0.015, 0.98, 0.005],  # red: wrong, with the highest confidence
    ]
    return ClassificationEvaluation(dataset.take(range(5)), np.array(probabilities), {})


@pytest.mark.one_backend
def test_metrics_are_those_of_scikit_learn(evaluation):
    metrics = pytest.importorskip("sklearn.metrics")
    labels, predicted = evaluation.dataset.labels, evaluation.predicted
    assert evaluation.accuracy == metrics.accuracy_score(labels, predicted) == 0.6
    assert evaluation.loss == pytest.approx(metrics.log_loss(labels, evaluation.probabilities))
    np.testing.assert_array_equal(evaluation.confusion, metrics.confusion_matrix(labels, predicted))
    expected = metrics.precision_recall_fscore_support(labels, predicted, zero_division=0)
    for i, of_class in enumerate(evaluation.classes):
        assert of_class.images == expected[3][i]
        assert of_class.recall == pytest.approx(expected[1][i])
        assert of_class.f1 == pytest.approx(expected[2][i])
    assert [c.precision for c in evaluation.classes[:2]] == pytest.approx(expected[0][:2])
    assert evaluation.classes[2].precision is None  # red is never predicted
    assert evaluation.top(2) == pytest.approx(
        metrics.top_k_accuracy_score(labels, evaluation.probabilities, k=2)
    )


@pytest.mark.one_backend
def test_mistakes_and_json(evaluation):
    assert evaluation.mistakes == [4, 1]
    content = evaluation.to_json()
    assert (content["images"], content["unreadable"], content["accuracy"]) == (5, 0, 0.6)
    assert content["accuracy_95_percent_interval"] == list(wilson_interval(3, 5))
    assert content["classes"][2]["precision"] is None


@pytest.mark.one_backend
def test_the_prediction_for_each_image(evaluation):
    first, *_, last = evaluation.per_image()
    assert list(last.values()) == [
        *(str(evaluation.dataset.paths[4].absolute()), "red", "green", 0.98, 0.005)
    ]
    assert (first["class"], first["predicted_class"]) == ("blue", "blue")
    assert first["confidence"] == first["probability_of_class"] == 0.7


@pytest.mark.one_backend
def test_wilson_interval_against_published_values():
    # Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29.
    for n, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert wilson_interval(n, trials) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.one_backend
def test_a_sigmoid_cannot_be_calibrated(evaluation):
    assert "calibration" not in evaluation.to_json()
    scores = ClassificationEvaluation(evaluation.dataset, 0.7 * np.ones((5, 3)), {})
    with pytest.raises(ValueError, match=r"of a softmax.*Received: a sum of 2.1, and at least 0.7"):
        scores.calibrated()


# Evaluating a model.


@pytest.mark.parametrize("activation", ["softmax", None])
def test_probabilities_are_those_of_predict(classifier, dataset, activation):
    model = ImageClassifier.from_config({**classifier.get_config(), "activation": activation})
    model.set_weights(classifier.get_weights())
    done = []
    evaluation = evaluate_classifier(model, dataset, batch_size=4, advance=done.append)
    assert done == [1] * 6
    crops = np.stack([center_crop(open_image(path), 32) for path in dataset.paths])
    expected = classifier.predict(crops.astype("float32"), verbose=0)
    np.testing.assert_allclose(evaluation.probabilities, expected, atol=1e-6)
    assert evaluation.probabilities.dtype == "float64"


@needs_channels_first
def test_channels_first(dataset):
    models = [
        ImageClassifier(CSPDarkNetBackbone(**TINY_NET, include_rescaling=True, data_format=name), 3)
        for name in ("channels_last", "channels_first")
    ]
    models[1].set_weights(randomize(models[0]).get_weights())
    a, b = (evaluate_classifier(m, dataset, image_size=32).probabilities for m in models)
    np.testing.assert_allclose(a, b, atol=1e-5)


@pytest.mark.one_backend
def test_a_model_a_predictor_and_an_exported_file_have_the_same_metrics(
    classifier, dataset, tmp_path
):
    expected = evaluate_classifier(classifier, dataset).probabilities
    models = [Predictor(classifier, runtime="keras", batch_size=4)]
    pytest.importorskip("onnxruntime")
    export(classifier, tmp_path / "a.onnx")
    models.append(tmp_path / "a.onnx")
    for model in models:
        probabilities = evaluate_classifier(model, dataset).probabilities
        np.testing.assert_allclose(probabilities, expected, atol=1e-5)
    export(classifier, tmp_path / "b.onnx", precision="int8", calibration=dataset.paths)
    probabilities = evaluate_classifier(tmp_path / "b.onnx", dataset).probabilities
    np.testing.assert_allclose(probabilities, expected, atol=0.1)


@pytest.mark.one_backend
def test_the_image_size(classifier, dataset):
    evaluation = evaluate_classifier(classifier, dataset, image_size=16)
    predictor = Predictor(classifier, runtime="keras", image_size=16)
    expected = predictor(list(dataset.paths))
    np.testing.assert_allclose(evaluation.probabilities, expected, atol=1e-6)
    with pytest.raises(ValueError, match="must be left out for a Predictor"):
        evaluate_classifier(predictor, dataset, image_size=16)


@pytest.mark.one_backend
def test_images_of_one_pixel(classifier, tmp_path):
    for i, size in enumerate([(1, 1), (1, 900)]):
        Image.new("RGB", size, "red").save(tmp_path / f"{i}.png")
    dataset = ClassificationDataset(tuple(COLORS), tuple(sorted(tmp_path.iterdir())), np.zeros(2))
    assert np.isfinite(evaluate_classifier(classifier, dataset).probabilities).all()
