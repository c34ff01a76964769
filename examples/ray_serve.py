"""A detector on Ray Serve: image bytes in, detections as JSON out, on all machines of a cluster.

    pip install 'cspdarknet[onnxruntime]' 'ray[serve]'
    serve run examples.ray_serve:build model=$PWD/cells.onnx replicas=2
    curl --data-binary @smear.jpg http://127.0.0.1:8000/

`cspdarknet export yolox_nano_bccd cells.onnx --letterbox` wrote the model. Each replica has a
`Predictor`; the images of the requests that come while it runs are its next batch.
"""

import asyncio
from typing import Any

from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from cspdarknet import Predictor
from cspdarknet.images import ImageError

MAX_BYTES = 32 * 2**20  # of a request
MAX_BATCH_SIZE = 8
MAX_DELAY = 0.005  # seconds that the first image of a batch waits for others


# Two batches in a replica: one that runs, and the next. The answer to more than can wait is 503.
@serve.deployment(max_ongoing_requests=2 * MAX_BATCH_SIZE, max_queued_requests=256)
class Detector:
    """A replica: one `Predictor` in a process of its own.

    Args:
        model: a detector for `Predictor`: its name, or the path of an exported file, which all
            machines see.
        threads: number of threads of a replica.
    """

    def __init__(self, model: str, threads: int) -> None:
        self._predictor = Predictor(model, mode="throughput", threads=threads, workers=threads)

    async def __call__(self, request: Request) -> Response:
        """Answer a request whose body is an image file."""
        content = bytearray()
        async for part in request.stream():
            content += part
            if len(content) > MAX_BYTES:
                return JSONResponse({"error": f"more than {MAX_BYTES} bytes"}, 413)
        result = await self.detect(bytes(content))
        if isinstance(result, ImageError):
            return JSONResponse({"error": str(result)}, 422)
        height, width = result.image_size
        return JSONResponse({"width": width, "height": height, "detections": result.to_json()})

    @serve.batch(max_batch_size=MAX_BATCH_SIZE, batch_wait_timeout_s=MAX_DELAY)
    async def detect(self, images: list[bytes]) -> list[Any]:
        """Return the `Detections` of each image, or its `ImageError`."""
        return await asyncio.to_thread(self._predict, images)

    def _predict(self, images: list[bytes]) -> list[Any]:
        return [result for _, result in self._predictor.stream(images)]


def build(arguments: dict[str, str]) -> serve.Application:
    """Return the application for `serve run`, from its arguments `NAME=VALUE`.

    Args:
        arguments: `model`, and optionally `replicas` and `threads` of each replica.
    """
    threads = int(arguments.get("threads", 2))
    detector: Any = Detector  # the decorator made it a deployment
    deployment = detector.options(
        num_replicas=int(arguments.get("replicas", 1)), ray_actor_options={"num_cpus": threads}
    )
    return deployment.bind(arguments["model"], threads)
