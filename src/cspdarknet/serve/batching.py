"""`Batcher`: a bounded queue of images, and the threads that predict them in batches."""

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import closing
from threading import Condition, Thread
from typing import Any, NamedTuple

from cspdarknet.images import ImageError


class QueueFullError(Exception):
    """More images wait than the queue has room for."""


class EncodedImage(NamedTuple):
    """An image file in memory whose header has been checked.

    Attributes:
        name: its name for the client.
        content: the bytes of the file.
        pixels: number of pixels that decoding will give.
    """

    name: str
    content: bytes
    pixels: int


class _Job(NamedTuple):
    image: EncodedImage
    future: "Future[Any]"


class Batcher:
    """Predicts the images of many callers in batches, without waiting for a batch to fill.

    Each thread takes what waits, up to a batch, as soon as it is free: batches fill while the
    earlier ones run, and a single image is not delayed. While one thread decodes, others compute.

    Args:
        predictor: the `Predictor`, or another object that is called like one.
        batch_size: maximum number of images in a batch.
        threads: number of batches that are decoded or computed at the same time.
        max_queue: maximum number of images that wait.
        max_pixels: maximum number of pixels that the images of a batch have together; a larger
            image is a batch of its own.
        on_batch: called with the number of images of each batch before it runs.

    Example:
        >>> from io import BytesIO
        >>> Image.new("RGB", (64, 48), "navy").save(file := BytesIO(), "PNG")
        >>> predictor = Predictor("csp_darknet_tiny_clothing", runtime="keras")
        >>> batcher = Batcher(predictor, batch_size=8, threads=1, max_queue=10, max_pixels=10**6)
        >>> [future] = batcher.submit([EncodedImage("sea.png", file.getvalue(), 64 * 48)])
        >>> future.result().shape
        (10,)
        >>> batcher.close()
    """

    def __init__(
        self,
        predictor: Any,
        *,
        batch_size: int,
        threads: int,
        max_queue: int,
        max_pixels: int,
        on_batch: Callable[[int], object] = int,
    ) -> None:
        self._predictor, self._on_batch = predictor, on_batch
        self._batch_size, self._max_pixels = batch_size, max_pixels
        self._max_queue = max_queue
        self._jobs: deque[_Job] = deque()
        self._changed = Condition()
        self._is_closed = False
        self._threads = [Thread(target=self._work, daemon=True) for _ in range(threads)]
        for thread in self._threads:
            thread.start()

    def __len__(self) -> int:
        """Return the number of images that wait."""
        return len(self._jobs)

    def submit(self, images: Sequence[EncodedImage]) -> list["Future[Any]"]:
        """Let images wait for a batch, all of them or none.

        A future that is cancelled while its image waits is not computed.

        Returns:
            A future for each image: its result as of a call of the predictor, or an `ImageError`.

        Raises:
            QueueFullError: if the queue has no room for them.
            RuntimeError: if the batcher is closed.
        """
        jobs = [_Job(image, Future()) for image in images]
        with self._changed:
            if self._is_closed:
                raise RuntimeError("The batcher is closed.")
            if len(self._jobs) + len(jobs) > self._max_queue:
                # Those whose clients have gone wait for nothing.
                self._jobs = deque(job for job in self._jobs if not job.future.cancelled())
            if len(self._jobs) + len(jobs) > self._max_queue:
                raise QueueFullError
            self._jobs.extend(jobs)
            self._changed.notify(len(jobs))
        return [job.future for job in jobs]

    def close(self) -> None:
        """Predict the images that wait, and end the threads."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while jobs := self._take():
            self._run(jobs)

    def _take(self) -> list[_Job]:
        """Wait for images and return a batch of them; an empty list when the batcher is closed."""
        with self._changed:
            batch: list[_Job] = []
            while not batch:
                self._changed.wait_for(lambda: self._jobs or self._is_closed)
                if not self._jobs:
                    return []
                pixels = 0
                while self._jobs and len(batch) < self._batch_size:
                    pixels += self._jobs[0].image.pixels
                    if batch and pixels > self._max_pixels:
                        break
                    job = self._jobs.popleft()
                    if job.future.set_running_or_notify_cancel():
                        batch.append(job)
                    else:
                        pixels -= job.image.pixels
            return batch

    def _run(self, jobs: list[_Job]) -> None:
        try:
            self._on_batch(len(jobs))
            results = self._predict([job.image.content for job in jobs])
        except Exception as error:  # of the model, which the other batches may not have
            for job in jobs:
                job.future.set_exception(error)
            return
        for job, result in zip(jobs, results, strict=True):
            if isinstance(result, ImageError):
                job.future.set_exception(result)
            else:
                job.future.set_result(result)

    def _predict(self, images: list[bytes]) -> list[Any]:
        if len(images) == 1:  # without the threads of a stream
            try:
                return [self._predictor(images[0])]
            except ImageError as error:
                return [error]
        with closing(self._predictor.stream(images)) as stream:
            return [result for _, result in stream]
