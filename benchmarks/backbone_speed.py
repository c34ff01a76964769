"""How fast is the backbone on each Keras backend, beside KerasCV's on the same backend?

Both run in turn in one session: two processes stay alive, one for each library, and take turns in
short rounds, so that a slow spell of the machine hits both. The figure to read is the ratio.

    python benchmarks/backbone_speed.py                     # three backends, size tiny
    python benchmarks/backbone_speed.py --sizes tiny l --backends torch --rounds 9

KerasCV and its TensorFlow get a virtual environment of their own, made on first use.
"""

import argparse
import importlib
import itertools
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.results import RESULTS, Row, write_csv, write_table
from harness.workers import (
    ROOT,
    Worker,
    ending,
    kerascv_python,
    median_ratio,
    medians,
    serve,
    take_turns,
)

SIZES = {
    "tiny": ([48, 96, 192, 384], [1, 3, 3, 1]),
    "s": ([64, 128, 256, 512], [1, 3, 3, 1]),
    "m": ([96, 192, 384, 768], [2, 6, 6, 2]),
    "l": ([128, 256, 512, 1024], [3, 9, 9, 3]),
    "xl": ([170, 340, 680, 1360], [4, 12, 12, 4]),
}
CASE = ("backend", "size", "pixels", "batch", "work")


# The worker: one library in one process.


def build(library: str, size: str) -> Any:
    channels, depth = SIZES[size]
    models = importlib.import_module(f"{library}.models")
    return models.CSPDarkNetBackbone(
        stackwise_channels=channels, stackwise_depth=depth, include_rescaling=True
    )


def step(library: str, size: str, pixels: int, batch: int, work: str) -> Callable[[], None]:
    """Return a function that does the work once, compiled and warm."""
    import keras
    import numpy as np

    x = np.random.default_rng(0).uniform(0, 255, (batch, pixels, pixels, 3)).astype("float32")
    backbone = build(library, size)
    if work == "forward":
        return lambda: backbone.predict_on_batch(x)
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    model = keras.Model(backbone.inputs, keras.layers.Dense(10)(pooled))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), loss)
    y = np.arange(batch) % 10
    return lambda: model.train_on_batch(x, y)


# The driver: two workers that take turns.


def start(python: Path, library: str, row: Row) -> Worker:
    """Return the process of a library."""
    case = [str(row[key]) for key in ("size", "pixels", "batch", "work")]
    command = [python, __file__, "--worker", library, *case]
    return Worker(command, {"KERAS_BACKEND": row["backend"]})


def measure(peer: Path, row: Row, rounds: int, seconds: float) -> Row:
    """Fill a row with the median times of both libraries and the median of the rounds' ratios."""
    with ending() as workers:
        workers["ours"] = start(Path(sys.executable), "cspdarknet", row)
        workers["kerascv"] = start(peer, "keras_cv", row)
        *_, times = take_turns(workers, rounds, seconds)
    milliseconds = {
        f"{name}_ms": round(1e3 * statistics.median(medians(turns)), 2)
        for name, turns in times.items()
    }
    ratio = round(median_ratio(times["kerascv"], times["ours"]), 2)
    return {**row, **milliseconds, "ratio": ratio}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", nargs="+", default=["jax", "torch", "tensorflow"])
    parser.add_argument("--sizes", nargs="+", default=["tiny"], choices=list(SIZES))
    parser.add_argument("--pixels", nargs="+", type=int, default=[224])
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--work", nargs="+", default=["forward", "train"])
    parser.add_argument("--rounds", type=int, default=7, help="turns of each library")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn")
    parser.add_argument("--peer-venv", type=Path, default=ROOT / ".venv-kerascv")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    peer = kerascv_python(options.peer_venv)
    rows: list[Row] = []
    cases = itertools.product(
        options.backends, options.sizes, options.pixels, options.batches, options.work
    )
    for case in cases:
        row = dict(zip(CASE, case, strict=True))
        rows.append(measure(peer, row, options.rounds, options.seconds))
        print(rows[-1], flush=True)
        write_csv(options.out / "backbone_speed.csv", rows)
        text = "ratio: KerasCV's time over ours, above 1 is faster than KerasCV."
        write_table(options.out / "backbone_speed.md", text, rows)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        library, size, pixels, batch, work = sys.argv[2:]
        serve(step(library, size, int(pixels), int(batch), work))
    else:
        main()
