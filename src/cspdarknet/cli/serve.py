"""`cspdarknet serve`: an HTTP server for models, with a page."""

import os
import webbrowser
from threading import Thread
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape

from cspdarknet._extras import require
from cspdarknet._keras import build_on_numpy
from cspdarknet.cli.options import (
    ClassAgnosticNMSOption,
    ClassesOption,
    DeviceOption,
    IoUThresholdOption,
    MaxDetectionsOption,
    PrecisionOption,
    RuntimeOption,
    ScoreThresholdOption,
    detection_options,
)
from cspdarknet.cli.signals import stopped_by_signals

if TYPE_CHECKING:
    from cspdarknet.serve.server import Server

API_KEY = "CSPDARKNET_API_KEY"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
MODULES = ("fastapi", "uvicorn", "python_multipart", "prometheus_client")
MEBIBYTE = 2**20


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Models, each as in the other commands, or with a name for requests before it, as "
            "in cells=yolox_nano_bccd.",
        ),
    ],
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 for all networks of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port; 0 for a free one.", min=0, max=65535)] = 8000,
    score_threshold: ScoreThresholdOption = None,
    iou_threshold: IoUThresholdOption = None,
    max_detections: MaxDetectionsOption = None,
    classes: ClassesOption = None,
    class_agnostic_nms: ClassAgnosticNMSOption = None,
    levels: Annotated[
        str | None,
        typer.Option(
            help="Pyramid levels of the models' backbones, such as P3,P5, for /v1/features. "
            "Default: each model is served for its own task, a backbone with its output."
        ),
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(
            help="Maximum number of images in a batch. Default: 1 on processors, 8 with "
            "--device cuda or tensorrt.",
            min=1,
        ),
    ] = None,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
    device: DeviceOption = "auto",
    max_megabytes: Annotated[
        int, typer.Option(help="Maximum size of a request, in MiB.", min=1)
    ] = 32,
    max_megapixels: Annotated[
        int, typer.Option(help="Maximum size of an image, in millions of pixels.", min=1, max=180)
    ] = 50,
    max_images: Annotated[
        int, typer.Option(help="Maximum number of images in a request.", min=1)
    ] = 32,
    max_queue: Annotated[
        int, typer.Option(help="Maximum number of images that wait for a model.", min=1)
    ] = 256,
    timeout: Annotated[
        int, typer.Option(help="Maximum number of seconds until a result.", min=1)
    ] = 30,
    open_page: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser of this machine.")
    ] = False,
) -> None:
    """Serve models over HTTP, with a page at /.

    Where the environment has CSPDARKNET_API_KEY, requests need this key.
    """
    for module in MODULES:
        require(module, "serve", "`cspdarknet serve`")
    from cspdarknet.serve import Limits, create_app, load_models, run_server

    limits = Limits(
        max_bytes=max_megabytes * MEBIBYTE,
        max_body_memory=max(Limits.max_body_memory, max_megabytes * MEBIBYTE),
        max_pixels=max_megapixels * 1_000_000,
        max_images=max_images,
        max_queue=max_queue,
        timeout=timeout,
    )
    api_key = os.environ.get(API_KEY)
    console = Console(stderr=True)
    if runtime not in ("keras", "fastest") and device != "cuda":
        _export_without_backend()
    options = detection_options(
        score_threshold, iou_threshold, max_detections, classes, class_agnostic_nms
    )
    with console.status("loading the models"):
        loaded = load_models(
            models,
            batch_size=batch_size,
            options=options,
            levels=None if levels is None else [name.strip() for name in levels.split(",")],
            runtime=runtime,
            precision=precision,
            device=device,
        )
        app = create_app(loaded, limits, api_key)
    for model in loaded:
        text = f"{model.name}: {model.info.task}, {model.predictor.runtime}"
        console.print(escape(text), highlight=False, soft_wrap=True)
    if api_key is None and host not in LOOPBACK:
        text = f"[bold yellow]Warning:[/] anyone who reaches {escape(host)} can use this server: "
        text += f"set {API_KEY} to a secret text."
        console.print(text, highlight=False, soft_wrap=True)

    servers: list[Server] = []

    def show(server: "Server", address: str) -> None:
        servers.append(server)
        console.print(f"Serving at {address} (Ctrl-C ends)", highlight=False, soft_wrap=True)
        if open_page:
            # In a thread, because browsers of the terminal do not return.
            page = address.replace("//0.0.0.0:", "//127.0.0.1:")
            Thread(target=webbrowser.open, args=(page,), daemon=True).start()

    def stop() -> None:
        for server in servers:
            server.should_exit = True

    with stopped_by_signals(stop) as received:
        run_server(app, limits, host=host, port=port, on_start=show)
    if received:
        console.print("All accepted requests are answered.", highlight=False)


def _export_without_backend() -> None:
    """Choose Keras's NumPy backend for the export, where an installed runtime does the rest."""
    from cspdarknet.inference.model_source import graph_runtimes

    if graph_runtimes("float32")[0] != "keras":
        build_on_numpy()
