"""Calibration errors, and the temperature that is fitted."""

import numpy as np
import pytest

from cspdarknet.evaluate import (
    apply_temperature,
    calibrate,
    calibration_metrics,
    fit_temperature,
)

pytestmark = pytest.mark.one_backend


def softmax(logits):
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def binary(confidence, correct, images):
    """Return probabilities of equal confidence, and labels of which some are of the first class."""
    probabilities = np.tile([confidence, 1 - confidence], (images, 1))
    return probabilities, (np.arange(images) >= correct).astype(int)


def sampled(images=2000, classes=5, seed=0):
    """Return logits, and labels drawn by their softmax: they are calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (images, classes))
    draws = rng.random((images, 1))
    labels = (softmax(logits).cumsum(axis=1) < draws).sum(axis=1)
    return logits, np.minimum(labels, classes - 1)


def test_errors_in_closed_form():
    metrics = calibration_metrics(*binary(0.9, 3, 4))
    assert metrics.ece == pytest.approx(0.15)
    assert metrics.adaptive_ece == pytest.approx((3 * 0.1 + 0.9) / 4)  # an image in each bin
    assert metrics.nll == pytest.approx(-(3 * np.log(0.9) + np.log(0.1)) / 4)
    assert [b.images for b in metrics.bins] == [0] * 13 + [4, 0]  # 13/15 < 0.9 <= 14/15
    assert metrics.bins[13].accuracy == 0.75
    assert metrics.bins[0].confidence is metrics.bins[0].accuracy is None
    # Two bins of the same size, one with too much and one with too little confidence.
    (a, x), (b, y) = binary(0.9, 5, 10), binary(0.6, 10, 10)
    both = calibration_metrics(np.concatenate([a, b]), np.concatenate([x, y]))
    assert both.ece == pytest.approx((0.4 + 0.4) / 2)


def test_edges_of_bins_belong_to_the_bin_below():
    """As in Guo et al.; a confidence of 1 is in the last bin."""
    probabilities = np.array([[0.6, 0.4], [0.6 + 1e-9, 0.4 - 1e-9], [1, 0]])
    bins = calibration_metrics(probabilities, np.zeros(3, int)).bins
    assert [i for i, b in enumerate(bins) if b.images] == [8, 9, 14]


def test_the_adaptive_error_is_that_of_groups_of_equal_size():
    logits, labels = sampled(301)
    probabilities = softmax(3 * logits)
    confidence = probabilities.max(axis=1)
    order = np.argsort(confidence)
    right = (probabilities.argmax(axis=1) == labels)[order]
    groups = zip(np.array_split(confidence[order], 15), np.array_split(right, 15), strict=True)
    expected = sum(len(c) * abs(c.mean() - r.mean()) for c, r in groups) / 301
    assert calibration_metrics(probabilities, labels).adaptive_ece == pytest.approx(expected)


def test_the_temperature_in_closed_form():
    """The fitted confidence of images of equal confidence is their accuracy."""
    for confidence, correct in ((0.9, 3), (0.99, 3), (0.6, 3)):
        probabilities, labels = binary(confidence, correct, 4)
        expected = np.log(confidence / (1 - confidence)) / np.log(3)
        assert fit_temperature(probabilities, labels) == pytest.approx(expected, rel=1e-9)
        result = calibrate(probabilities, labels)
        assert result.after.ece == pytest.approx(0, abs=1e-9)
        assert result.after.nll == pytest.approx(-(3 * np.log(0.75) + np.log(0.25)) / 4)


def test_logits_scaled_by_a_known_factor():
    logits, labels = sampled()
    base = fit_temperature(softmax(logits), labels)
    assert base == pytest.approx(1, abs=0.08)
    for factor in (0.1, 0.5, 3.0, 8.0):
        found = fit_temperature(softmax(factor * logits), labels)
        assert found == pytest.approx(factor * base, rel=1e-6)
    exported = softmax(3 * logits).astype("float32").astype("float16")  # rounded probabilities
    assert fit_temperature(exported, labels) == pytest.approx(3 * base, rel=0.03)


def test_the_temperature_is_the_minimum_that_scipy_finds():
    optimize = pytest.importorskip("scipy.optimize")
    logits, labels = sampled(400, 10, seed=1)
    probabilities = softmax(4 * logits)

    def loss(temperature):
        rescaled = softmax(4 * logits / temperature)
        return -np.log(rescaled[np.arange(400), labels]).mean()

    expected = optimize.minimize_scalar(loss, bounds=(0.1, 20), method="bounded")
    result = calibrate(probabilities, labels)
    assert result.temperature == pytest.approx(expected.x, rel=1e-4)
    assert result.after.nll == pytest.approx(expected.fun, rel=1e-9)
    assert result.before.nll == pytest.approx(loss(1))
    assert result.after.nll < result.before.nll
    assert result.after.ece < result.before.ece / 3


def test_many_images_are_fitted_in_chunks(monkeypatch):
    logits, labels = sampled(100)
    whole = fit_temperature(softmax(3 * logits), labels)
    monkeypatch.setattr("cspdarknet.evaluate.calibration.CHUNK", 7)
    assert fit_temperature(softmax(3 * logits), labels) == pytest.approx(whole, rel=1e-9)


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        ([[0.9, 0.1], [0.2, 0.8]], [0, 1]),  # all correct: 0
        ([[0.9, 0.1], [0.2, 0.8]], [1, 0]),  # all wrong: infinite
        ([[0.9, 0.1], [0.9, 0.1]], [0, 1]),  # chance: infinite
        ([[0.5, 0.5], [0.5, 0.5]], [0, 1]),  # the same at each temperature
        ([[1.0], [1.0]], [0, 0]),  # one class
        ([[1.0, 0.0]], [0]),
    ],
)
def test_no_temperature_is_best(probabilities, labels):
    result = calibrate(np.array(probabilities), np.array(labels))
    assert result.temperature is None
    assert result.after is result.before


def test_confidence_of_one_that_is_wrong_has_a_finite_loss():
    probabilities = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    result = calibrate(probabilities, np.array([0, 0, 1]))
    assert np.isfinite(result.before.nll)
    assert result.after.nll == pytest.approx(-(2 * np.log(2 / 3) + np.log(1 / 3)) / 3, rel=1e-4)


def test_a_temperature_keeps_the_order_of_the_classes():
    probabilities = softmax(sampled(50)[0])
    for temperature in (0.5, 2.0):
        changed = apply_temperature(probabilities, temperature)
        np.testing.assert_array_equal(changed.argsort(axis=1), probabilities.argsort(axis=1))
        np.testing.assert_allclose(apply_temperature(changed, 1 / temperature), probabilities)


@pytest.mark.parametrize(
    "probabilities",
    [[[0.9, 0.8]], [[np.nan, 0.5]], [[1.5, -0.5]], [[2.0, -1.0], [0.5, 0.5]], []],
)
def test_scores_that_are_not_of_a_softmax_are_refused(probabilities):
    array = np.array(probabilities).reshape(-1, 2)
    with pytest.raises(ValueError, match=r"must be|Calibration needs"):
        calibrate(array, np.zeros(len(probabilities), int))
