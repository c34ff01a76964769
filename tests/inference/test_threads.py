"""Predictors in several threads: the results are those of one thread."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cspdarknet.inference import Predictor


def assert_same(results, expected):
    for result, other in zip(results, expected, strict=True):
        arrays = [(result, other)]
        if hasattr(result, "xyxy"):
            np.testing.assert_array_equal(result.class_id, other.class_id)
            arrays = [(result.xyxy, other.xyxy), (result.confidence, other.confidence)]
        for array, reference in arrays:
            np.testing.assert_allclose(array, reference, rtol=1e-4, atol=1e-5)


@pytest.fixture(params=["classifier", "detector"])
def model(request):
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_eight_threads_use_one_predictor(model, runtime, readable, mode):
    predictor = Predictor(model, runtime=runtime, mode=mode)
    expected = predictor(readable)
    with ThreadPoolExecutor(8) as pool:
        single = list(pool.map(predictor, readable * 4))
        whole = list(pool.map(lambda _: predictor(readable), range(8)))
    assert_same(single, expected * 4)
    for results in whole:
        assert_same(results, expected)


def test_four_threads_make_and_use_their_own_predictors(model, runtime, readable):
    expected = Predictor(model, runtime=runtime)(readable)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: Predictor(model, runtime=runtime)(readable), range(4)))
    for result in results:
        assert_same(result, expected)
