"""How fast are image files turned into features?

JPEG files of 640 x 480 become features of size tiny at 224 x 224. `Predictor.stream` takes turns
with a loop that opens an image with Pillow, resizes it and calls KerasCV, one image at a time: with
`model.predict`, as most would write it; with `model(x)`; and with a compiled `tf.function`. A turn
is a pass over all images, and each contestant is a process of its own.

    python benchmarks/images_to_features.py
    python benchmarks/images_to_features.py --folder my_images --rounds 5
"""

import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness.arguments import benchmark_parser
from harness.images import write_photographs
from harness.plots import plot_bars
from harness.results import Row, write_results
from harness.turns import Run, Times, median_ratio, median_seconds
from harness.workers import (
    Work,
    Worker,
    kerascv_python,
    limit_threads,
    run_script,
    running_workers,
    start_worker,
    time_workers,
)
from peers.kerascv import Architecture, architecture, build_backbone
from PIL import Image

IMAGE_SIZE = 224
KERASCV_CALLS = ("predict", "model(x)", "tf.function", "jit_compile")


def ours(paths: Sequence[Path], model: str, runtime: str, threads: int) -> Run:
    """Return a pass of `Predictor.stream` with an exported file."""
    from cspdarknet import Predictor

    predictor = Predictor(
        model, runtime=runtime, mode="throughput", image_size=IMAGE_SIZE, threads=threads
    )

    def run() -> None:
        results = [result for _, result in predictor.stream(paths)]
        assert len(results) == len(paths)

    return run


def kerascv(paths: Sequence[Path], architecture: Architecture, call: str) -> Run:
    """Return a pass of a loop with Pillow and KerasCV."""
    import tensorflow as tf

    model = build_backbone(architecture)
    compiled = tf.function(lambda x: model(x, training=False), jit_compile=call == "jit_compile")
    calls: dict[str, Callable[[np.ndarray], Any]] = {
        "predict": lambda x: model.predict(x, verbose=0),
        "model(x)": lambda x: model(x, training=False).numpy(),
        "tf.function": lambda x: compiled(x).numpy(),
        "jit_compile": lambda x: compiled(x).numpy(),
    }

    def run() -> None:
        for path in paths:
            with Image.open(path) as image:
                resized = image.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE))
            calls[call](np.asarray(resized, "float32")[None])

    return run


def work(library: str, folder: str, **arguments: Any) -> Work:
    """Run a pass of a library over all images."""
    paths = sorted(Path(folder).rglob("*.jpg"))
    contestant: Callable[..., Run] = kerascv if library == "keras_cv" else ours
    return contestant(paths, **arguments), {}


def start_workers(
    workers: dict[str, Worker], folder: Path, model: Path, options: Namespace
) -> None:
    """Start the workers of all contestants."""
    environment = {"KERAS_BACKEND": "tensorflow", **limit_threads(options.threads)}

    def start(name: str, python: str | Path, library: str, **arguments: Any) -> None:
        workers[name] = start_worker(
            __file__, environment, python, library=library, folder=str(folder), **arguments
        )
        print(f"{name}: ready", flush=True)

    for runtime in ("openvino", "onnxruntime"):
        arguments = {"model": str(model), "runtime": runtime, "threads": options.threads}
        start(f"ours, {runtime}", sys.executable, "cspdarknet", **arguments)
    python = kerascv_python(options.kerascv_venv)
    for call in KERASCV_CALLS:
        tiny = architecture("tiny")
        start(f"KerasCV, {call}", python, "keras_cv", architecture=tiny, call=call)


def table(times: Times, count: int) -> list[Row]:
    """Return a row for each contestant."""
    return [
        {
            "contestant": name,
            "images/s": round(count / median_seconds(rounds), 1),
            "ms per image": round(1e3 * median_seconds(rounds) / count, 1),
            **{
                f"× {base}": round(median_ratio(times[base], rounds), 2)
                for base in times
                if base.startswith("KerasCV")
            },
        }
        for name, rounds in times.items()
    ]


def write(rows: Sequence[Row], text: str, out: Path) -> None:
    """Write the results of the rounds so far."""
    write_results(out, "images_to_features", text, rows)
    path = out / "images_to_features.png"
    plot_bars(path, rows, ["contestant"], ["images/s"], "images per second")


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=3, threads=True, kerascv=True)
    parser.add_argument("--images", type=int, default=200, help="number of images that are made")
    parser.add_argument("--folder", type=Path, help="folder of JPEG files in place of those")
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")  # of this process, which exports
    from cspdarknet import load_model
    from cspdarknet.export import export

    with tempfile.TemporaryDirectory() as temporary, running_workers() as workers:
        model = Path(temporary) / "tiny.onnx"
        export(load_model("csp_darknet_tiny"), model)
        folder = options.folder or Path(temporary) / "images"
        if options.folder is None:
            write_photographs(folder, options.images)
        count = len(list(folder.rglob("*.jpg")))
        text = (
            f"{count} JPEG files from disk to the features of size tiny at {IMAGE_SIZE}², on "
            f"{options.threads} threads: medians of {options.rounds} passes in turns. × is the "
            "median of the rounds' ratios."
        )
        start_workers(workers, folder, model, options)
        for times in time_workers(workers, options.rounds, seconds=0):
            rows = table(times, count)
            write(rows, text, options.out)
    for row in rows:
        print(row)


if __name__ == "__main__":
    run_script(main, work)
