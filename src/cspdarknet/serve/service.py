"""`Service`: the models of the server and their batchers."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

from fastapi import HTTPException, Request

from cspdarknet.images import ImageError
from cspdarknet.serve.batching import Batcher, EncodedImage, QueueFullError
from cspdarknet.serve.bodies import Received
from cspdarknet.serve.limits import RETRY_AFTER, Limits
from cspdarknet.serve.metrics import Metrics
from cspdarknet.serve.models import ServedModel

PATHS = {
    "classification": "/v1/predict",
    "detection": "/v1/detect",
    "features": "/v1/features",
    "regression": "/v1/regress",
}
CLIENT_CLOSED_REQUEST = 499


class Service:
    """The models of the server and their batchers.

    Args:
        models: the models.
        limits: the limits.

    Attributes:
        models: the models by name.
        metrics: the `Metrics`.
    """

    def __init__(self, models: Sequence[ServedModel], limits: Limits) -> None:
        self.limits = limits
        self.models = {model.name: model for model in models}
        self._batchers: dict[str, Batcher] = {}
        self.metrics = Metrics(self._batchers)

    @property
    def is_ready(self) -> bool:
        """Whether images are accepted."""
        return bool(self._batchers)

    def open(self) -> None:
        """Start the threads of the models."""
        for name, model in self.models.items():

            def count(images: int, name: str = name) -> None:
                self.metrics.batch(name, images)

            self._batchers[name] = Batcher(
                model.predictor,
                batch_size=model.batch_size,
                threads=model.threads,
                max_queue=self.limits.max_queue,
                max_pixels=self.limits.max_pixels,
                on_batch=count,
            )

    def close(self) -> None:
        """Predict the images that wait, and end the threads."""
        batchers = list(self._batchers.values())
        self._batchers.clear()
        for batcher in batchers:
            batcher.close()

    def model(self, name: str | None, task: str) -> ServedModel:
        """Return the model of a name, or the first one for a task.

        Raises:
            HTTPException: if there is none, or it is for another task.
        """
        models = [m for m in self.models.values() if name is None and m.info.task == task]
        found = models[0] if models else self.models.get(name or "")
        if found is None:
            names = ", ".join(f"{m.name} ({m.info.task})" for m in self.models.values())
            wish = f"a model for {task}" if name is None else repr(name)
            raise HTTPException(404, f"This server has {names}. Received: {wish}")
        if found.info.task != task:
            raise HTTPException(
                400,
                f"{found.name} is a model for {found.info.task}: use {PATHS[found.info.task]}.",
            )
        return found

    async def predict(
        self, request: Request, model: ServedModel, images: Sequence[Received]
    ) -> list[Any]:
        """Return the result of each image, or its error.

        Args:
            request: the request. Its images are given up when its client has gone.
            model: the model.
            images: the images, and those that are refused, whose errors are returned.

        Raises:
            HTTPException: if the queue is full, the time is over, or the only image is damaged.
        """
        usable = [image for image in images if isinstance(image, EncodedImage)]
        try:
            futures = self._batchers[model.name].submit(usable)
        except QueueFullError as error:
            raise _try_later(429, "The queue is full: try again later.") from error
        work = asyncio.ensure_future(_settled(futures))
        gone = asyncio.ensure_future(request.receive())  # the body is read: only the end comes
        try:
            either: set[asyncio.Future[Any]] = {work, gone}
            await asyncio.wait(
                either, timeout=self.limits.timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if gone.done() and not work.done():
                raise HTTPException(CLIENT_CLOSED_REQUEST, "The client has gone.")
            if not work.done():
                raise _try_later(503, f"No result within {self.limits.timeout} s.")
            results = iter(map(_usable, work.result()))
        finally:
            for future in futures:  # at once: `work` would cancel them somewhat later
                future.cancel()
            work.cancel()
            gone.cancel()
        return [
            next(results) if isinstance(image, EncodedImage) else image.error for image in images
        ]


async def _settled(futures: Sequence[Future[Any]]) -> list[Any]:
    """Return the results of futures, and the errors among them."""
    wrapped = map(asyncio.wrap_future, futures)
    return list(await asyncio.gather(*wrapped, return_exceptions=True))


def _usable(result: Any) -> Any:
    """Return a result, or the error of an image as that of a request; raise other errors."""
    if isinstance(result, ImageError):
        text = str(result).removeprefix("An image in memory: ")
        return HTTPException(422, f"The image cannot be read: {text}")
    if isinstance(result, BaseException):
        raise result
    return result


def _try_later(status: int, detail: str) -> HTTPException:
    return HTTPException(status, detail, {"retry-after": str(RETRY_AFTER)})
