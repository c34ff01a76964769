"""How much memory does inference take?

The peak memory of a new process (Linux) after some calls with a batch of images, and that of a
process that only imports the same libraries.

    python benchmarks/memory.py
    python benchmarks/memory.py --model-sizes tiny l --batch-size 1
"""

import importlib
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from file_sizes import PRECISIONS, export_files
from harness.arguments import benchmark_parser
from harness.plots import plot_bars
from harness.results import Row, write_results
from harness.workers import Work, kerascv_python, limit_threads, run_script, start_worker
from peers.kerascv import Architecture, architecture, build_backbone

CALLS = 3
INFERENCE, IMPORT_ONLY = "inference, MB", "import only, MB"
KERASCV_CALLS = ("model(x)", "predict", "tf.function", "jit_compile")


def work(library: str, **arguments: Any) -> Work:
    """Make the calls of a library; nothing is timed."""
    (kerascv if library == "keras_cv" else ours)(**arguments)
    return lambda: None, {}


def ours(path: str, runtime: str, threads: int, shape: Sequence[int], calls: int) -> None:
    """Call a `Predictor` on an exported file."""
    import numpy as np

    from cspdarknet import Predictor

    importlib.import_module(runtime)
    if calls:
        predictor = Predictor(path, runtime=runtime, threads=threads)
        for _ in range(calls):
            predictor.run(np.ones(shape, "float32"))


def kerascv(architecture: Architecture, call: str, shape: Sequence[int], calls: int) -> None:
    """Call KerasCV's backbone."""
    import numpy as np
    import tensorflow as tf

    importlib.import_module("keras_cv.models")
    if calls:
        model = build_backbone(architecture)
        compiled = tf.function(
            lambda x: model(x, training=False), jit_compile=call == "jit_compile"
        )
        run = {
            "model(x)": lambda x: model(x, training=False),
            "predict": lambda x: model.predict(x, verbose=0),
        }.get(call, compiled)
        for _ in range(calls):
            np.asarray(run(tf.ones(shape)))


def contestants(folder: Path, model_size: str, options: Namespace) -> Iterator[Row]:
    """Yield the name of each contestant, and the arguments of `start_worker` for it."""
    shape = [options.batch_size, options.image_size, options.image_size, 3]
    for precision in PRECISIONS:
        for runtime, suffix in (("openvino", ".xml"), ("onnxruntime", ".onnx")):
            yield {
                "name": f"ours, {runtime}, {precision}",
                "python": sys.executable,
                "library": "cspdarknet",
                "path": str(folder / f"{model_size}_{precision}{suffix}"),
                "runtime": runtime,
                "threads": options.threads,
                "shape": shape,
            }
    for call in KERASCV_CALLS:
        yield {
            "name": f"KerasCV, {call}",
            "python": kerascv_python(options.kerascv_venv),
            "library": "keras_cv",
            "architecture": architecture(model_size),
            "call": call,
            "shape": shape,
        }


def peak_megabytes(threads: int, calls: int, arguments: Row) -> int:
    """Return the peak memory of a new process after some calls."""
    environment = {"KERAS_BACKEND": "tensorflow", **limit_threads(threads)}
    worker = start_worker(__file__, environment, calls=calls, **arguments)
    worker.stop()
    return round(float(worker.facts["peak_megabytes"]))


def write(rows: Sequence[Row], options: Namespace) -> None:
    """Write the results so far."""
    text = (
        f"Peak memory of a new process after {CALLS} calls with {options.batch_size} images of "
        f"{options.image_size}² on {options.threads} threads, and of one that only imports the "
        "same libraries."
    )
    write_results(options.out, "memory", text, rows)
    path, names = options.out / "memory.png", ["model_size", "contestant"]
    plot_bars(path, rows, names, [INFERENCE, IMPORT_ONLY], "peak memory in MB")


def main() -> None:
    parser = benchmark_parser(__doc__, model_sizes=["l"], threads=True, kerascv=True)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--image-size", type=int, default=224, help="side in pixels")
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")  # of this process, which exports
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as temporary:
        for model_size in options.model_sizes:
            export_files(Path(temporary), model_size)
            for arguments in contestants(Path(temporary), model_size, options):
                row = {"model_size": model_size, "contestant": arguments.pop("name")}
                for column, calls in ((INFERENCE, CALLS), (IMPORT_ONLY, 0)):
                    row[column] = peak_megabytes(options.threads, calls, arguments)
                rows.append(row)
                print(row, flush=True)
                write(rows, options)


if __name__ == "__main__":
    run_script(main, work)
