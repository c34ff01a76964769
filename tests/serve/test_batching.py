"""Batches of the images of many callers."""

import threading

import pytest

from cspdarknet.images import ImageError
from cspdarknet.serve.batching import Batcher, EncodedImage, QueueFullError
from served_models import PHOTO, Held

pytestmark = pytest.mark.one_backend


class HeldStreams(Held):
    """Waits with batches of several images, too."""

    def stream(self, images):
        images = list(images)
        self.started.release()
        self.may_go_on.acquire()
        return super().stream(images)


@pytest.fixture
def held():
    """A predictor that is at work on one image, and its batcher with room for six more."""
    predictor = HeldStreams()
    batcher = Batcher(predictor, batch_size=4, threads=1, max_queue=6, max_pixels=3000)
    first = batcher.submit(images(1))
    predictor.started.acquire()
    yield predictor, batcher, first
    predictor.may_go_on.release(100)
    batcher.close()


def images(count, pixels=10, content=PHOTO):
    return [EncodedImage("a", content, pixels) for _ in range(count)]


def finish(predictor, batcher):
    predictor.may_go_on.release(100)
    batcher.close()


def test_batches_fill_while_the_earlier_one_runs(held):
    predictor, batcher, first = held
    futures = [future for count in (3, 1, 2) for future in batcher.submit(images(count))]
    assert len(batcher) == 6
    finish(predictor, batcher)
    assert predictor.batches == [1, 4, 2]
    assert all(len(future.result()) == 2 for future in first + futures)


def test_a_batch_has_few_pixels_or_one_image(held):
    predictor, batcher, _ = held
    batcher.submit(images(2, pixels=1500) + images(1, pixels=1) + images(1, pixels=4000))
    finish(predictor, batcher)
    assert predictor.batches == [1, 2, 1, 1]


def test_images_are_accepted_all_or_none(held):
    _, batcher, _ = held
    batcher.submit(images(4))
    with pytest.raises(QueueFullError):
        batcher.submit(images(3))
    assert len(batcher) == 4
    assert len(batcher.submit(images(2))) == 2


def test_images_that_nobody_waits_for_are_not_computed(held):
    predictor, batcher, _ = held
    given_up = batcher.submit(images(6))
    for future in given_up[1:]:
        assert future.cancel()
    kept = batcher.submit(images(5))  # for which the others make room
    finish(predictor, batcher)
    assert predictor.batches == [1, 4, 2]
    assert all(future.done() for future in kept)


def test_a_damaged_image_fails_alone(held):
    predictor, batcher, _ = held
    good, bad = batcher.submit(images(1) + images(1, content=b"no image"))
    finish(predictor, batcher)
    assert len(good.result()) == 2
    with pytest.raises(ImageError, match="not an image"):
        bad.result()


def test_a_failing_model_fails_its_batch_only(held, monkeypatch):
    predictor, batcher, _ = held
    monkeypatch.setattr(HeldStreams, "stream", lambda *_: 1 / 0)
    futures = batcher.submit(images(4))
    last = batcher.submit(images(1))
    finish(predictor, batcher)
    assert all(isinstance(future.exception(), ZeroDivisionError) for future in futures)
    assert len(last[0].result()) == 2


def test_closing_ends_the_threads_and_refuses_images():
    before = threading.active_count()
    batcher = Batcher(Held(), batch_size=2, threads=3, max_queue=1, max_pixels=10)
    batcher.close()
    assert threading.active_count() == before
    with pytest.raises(RuntimeError, match="closed"):
        batcher.submit(images(1))
