"""`create_app`: the HTTP interface of the server."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse
from fastapi.staticfiles import StaticFiles

from cspdarknet._version import __version__
from cspdarknet.serve import answers, schemas
from cspdarknet.serve.batching import EncodedImage
from cspdarknet.serve.bodies import REQUEST_BODY, Received, read_images
from cspdarknet.serve.limits import Limits
from cspdarknet.serve.middleware import BodyLimits, Safeguards
from cspdarknet.serve.models import ServedModel
from cspdarknet.serve.service import Service

PAGE = Path(__file__).parent / "page"
DRAWN_AT_ONCE = 2  # pictures, each of which takes the memory of a decoded image
API_KEY = re.compile(r"[!-~]+")
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": schemas.Problem} for status in (400, 401, 404, 408, 413, 415, 422, 429, 503)
}
ModelName = Annotated[
    str | None, Query(description="Name of the model. Default: the first one for this task.")
]
Top = Annotated[
    int | None,
    Query(ge=1, description="Number of classes. Default: 5; multi-label: those at the thresholds."),
]
Threshold = Annotated[
    float | None,
    Query(ge=0, le=1, description="Minimum confidence. Default: the model's."),
]


def create_app(
    models: Sequence[ServedModel], limits: Limits | None = None, api_key: str | None = None
) -> FastAPI:
    """Return the server as an ASGI application.

    Args:
        models: the models, as of `load_models`.
        limits: the `Limits`; `None` for the defaults.
        api_key: the key that requests must have; `None` for none.

    Raises:
        ValueError: if there is no model, or the key is empty.

    Example:
        >>> from fastapi.testclient import TestClient
        >>> from cspdarknet.serve import create_app, load_models
        >>> models = load_models(["csp_darknet_tiny_clothing"], runtime="keras")
        >>> with TestClient(create_app(models)) as client:
        ...     client.get("/readyz").text
        'ready'
    """
    if not models:
        raise ValueError("`models` must have at least one model. Received: none")
    if api_key is not None and not API_KEY.fullmatch(api_key):
        raise ValueError(
            "The API key must be letters, digits and signs of ASCII, without spaces. Received: "
            f"another text of {len(api_key)} characters"
        )
    service = Service(models, limits or Limits())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        service.open()
        yield
        await run_in_threadpool(service.close)

    app = FastAPI(
        title="cspdarknet",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,  # these pages load files from other servers
        redoc_url=None,
    )
    add_results(app, service)
    add_detections(app, service)
    add_page_and_status(app, service)
    app.add_middleware(BodyLimits, limits=service.limits)
    app.add_middleware(Safeguards, api_key=api_key, count=service.metrics.request)
    return app


def add_results(app: FastAPI, service: Service) -> None:
    """Add the paths that run classifiers, regressors and backbones."""
    post = partial(_post, app)
    run = partial(_run, service)

    @post("/v1/predict", schemas.PredictResponse)
    async def predict(request: Request, model: ModelName = None, top: Top = None) -> Response:
        """Classify images: the `top` most probable classes of each, 5 by default.

        Of a multi-label classifier, the default is all classes that reach their score thresholds.
        """
        served, images, results = await run(request, model, "classification")
        return _json(served, images, results, lambda r: answers.classes_json(r, served.info, top))

    @post("/v1/regress", schemas.RegressResponse)
    async def regress(request: Request, model: ModelName = None) -> Response:
        """Predict the numbers of images, in their units."""
        served, images, results = await run(request, model, "regression")
        names = served.info.targets or ()
        return _json(served, images, results, lambda r: answers.numbers_json(r, names))

    @post("/v1/features", schemas.FeaturesResponse)
    async def features(
        request: Request,
        model: ModelName = None,
        output: Annotated[
            Literal["json", "npz"],
            Query(description="The mean feature vectors, or the maps of the only image."),
        ] = "json",
    ) -> Response:
        """Extract features: the mean of the deepest feature map, or all maps."""
        served, images, results = await run(request, model, "features")
        if output == "json":
            return _json(served, images, results, answers.features_json)
        content = await run_in_threadpool(answers.features_npz, _only(images, results, output)[1])
        return Response(content, media_type="application/octet-stream")


def add_detections(app: FastAPI, service: Service) -> None:
    """Add the path that runs detectors, and draws their boxes."""
    drawing = asyncio.Semaphore(DRAWN_AT_ONCE)

    @_post(app, "/v1/detect", schemas.DetectResponse)
    async def detect(
        request: Request,
        model: ModelName = None,
        score_threshold: Threshold = None,
        output: Annotated[
            Literal["json", "jpeg", "png"],
            Query(description="The detections, or the only image with the boxes drawn in."),
        ] = "json",
    ) -> Response:
        """Detect objects in images."""
        served, images, results = await _run(service, request, model, "detection")
        threshold = served.score_threshold if score_threshold is None else score_threshold
        selected = [_or_error(r, lambda r: served.selected(r, score_threshold)) for r in results]
        if output == "json":
            head = {"score_threshold": threshold}
            return _json(served, images, selected, answers.detections_json, **head)
        image, detections = _only(images, selected, output)
        async with drawing:
            kind = output.upper()
            content = await run_in_threadpool(answers.picture, image, detections, kind)
        return Response(content, media_type=answers.PICTURE_TYPES[kind])


def _post(app: FastAPI, path: str, schema: Any) -> Callable[[Any], Any]:
    """Return the decorator of a path that takes images."""
    body = {"requestBody": REQUEST_BODY}
    return app.post(path, response_model=schema, responses=PROBLEMS, openapi_extra=body)


async def _run(
    service: Service, request: Request, name: str | None, task: str
) -> tuple[ServedModel, Any, Any]:
    """Return the model of a request, its images, and the result of each or its error."""
    model = service.model(name, task)
    images = await read_images(request, service.limits)
    results = await service.predict(request, model, images)
    if len(results) == 1 and isinstance(results[0], HTTPException):
        raise results[0]
    return model, images, results


def add_page_and_status(app: FastAPI, service: Service) -> None:
    """Add the page, and the paths that tell the state of the server."""

    @app.get("/v1/models", response_model=schemas.ModelsResponse)
    async def models() -> Response:
        """Describe the models."""
        return JSONResponse({"models": list(map(answers.model_json, service.models.values()))})

    @app.get("/healthz", response_class=PlainTextResponse)
    async def healthz() -> str:
        """Tell that the process is alive."""
        return "alive"

    @app.get("/readyz", response_class=PlainTextResponse)
    async def readyz() -> Response:
        """Tell whether images are accepted."""
        text, status = ("ready", 200) if service.is_ready else ("not ready", 503)
        return PlainTextResponse(text, status)

    @app.get("/metrics", response_class=PlainTextResponse)
    async def metrics() -> Response:
        """Return metrics in Prometheus' text format."""
        return Response(service.metrics.text(), media_type=METRICS_TYPE)

    @app.get("/", include_in_schema=False)
    async def page() -> Response:
        return FileResponse(PAGE / "index.html")

    app.mount("/page", StaticFiles(directory=PAGE))


def _only(images: Sequence[Any], results: Sequence[Any], output: str) -> tuple[EncodedImage, Any]:
    if len(images) != 1:
        raise HTTPException(
            400, f"output={output} needs one image. Received: {len(images)}: use output=json."
        )
    return images[0], results[0]


def _or_error(result: Any, function: Callable[[Any], Any]) -> Any:
    return result if isinstance(result, HTTPException) else function(result)


def _json(
    model: ServedModel,
    images: Sequence[Received],
    results: Sequence[Any],
    to_json: Callable[[Any], dict[str, Any]],
    **head: Any,
) -> JSONResponse:
    """Return the results of all images."""
    entries = [_or_error(result, to_json) for result in results]
    rows = answers.results_json([image.name for image in images], entries)
    return JSONResponse({"model": model.name, **head, "results": rows})
