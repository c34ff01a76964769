"""How fast is the backbone on each Keras backend, beside KerasCV's on the same backend?

Both run in turn in one session: two processes stay alive, one for each library, and take turns in
short rounds, so that a slow spell of the machine hits both. The figure to read is the ratio.

    python benchmarks/backbone_speed.py                     # three backends, size tiny
    python benchmarks/backbone_speed.py --sizes tiny l --backends torch --rounds 9

KerasCV and its TensorFlow get a virtual environment of their own, made on first use.
"""

import argparse
import csv
import importlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
PEER_PACKAGES = ["keras-cv==0.9.0", "keras", "tensorflow-cpu", "jax", "torch"]
SIZES = {
    "tiny": ([48, 96, 192, 384], [1, 3, 3, 1]),
    "s": ([64, 128, 256, 512], [1, 3, 3, 1]),
    "m": ([96, 192, 384, 768], [2, 6, 6, 2]),
    "l": ([128, 256, 512, 1024], [3, 9, 9, 3]),
    "xl": ([170, 340, 680, 1360], [4, 12, 12, 4]),
}
COLUMNS = ["backend", "size", "pixels", "batch", "work", "ours_ms", "kerascv_ms", "ratio"]


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


def work_on_request(library: str, size: str, pixels: int, batch: int, work: str) -> None:
    """Time one round for each line on standard input."""
    run = step(library, size, pixels, batch, work)
    start = time.perf_counter()
    for _ in range(3):
        run()
    print(json.dumps({"warm": time.perf_counter() - start}), flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        print(json.dumps(times), flush=True)


# The driver: two workers that take turns.


class Worker:
    """One library in a process of its own, idle until it is asked."""

    def __init__(self, python: Path, library: str, backend: str, row: dict[str, Any]) -> None:
        case = [str(row[key]) for key in ("size", "pixels", "batch", "work")]
        self.process = subprocess.Popen(
            [str(python), __file__, "--worker", library, *case],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
        self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(("[", "{")):
                return json.loads(line)
        raise RuntimeError(f"a worker ended early: {self.process.args!r}")

    def round(self, repeats: int) -> list[float]:
        """Run some repeats and return their times in seconds."""
        assert self.process.stdin is not None
        print(repeats, file=self.process.stdin, flush=True)
        return list(self._answer())

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.wait()


def measure(peer: Path, row: dict[str, Any], rounds: int, seconds: float) -> dict[str, Any]:
    """Fill a row with the median times of both libraries and the median of the rounds' ratios."""
    ours = Worker(Path(sys.executable), "cspdarknet", row["backend"], row)
    theirs = Worker(peer, "keras_cv", row["backend"], row)
    try:
        repeats = max(3, int(seconds / statistics.median(ours.round(3))))
        pairs = [
            (statistics.median(ours.round(repeats)), statistics.median(theirs.round(repeats)))
            for _ in range(rounds)
        ]
    finally:
        ours.stop()
        theirs.stop()
    return {
        **row,
        "ours_ms": round(1e3 * statistics.median(a for a, _ in pairs), 2),
        "kerascv_ms": round(1e3 * statistics.median(b for _, b in pairs), 2),
        "ratio": round(statistics.median(b / a for a, b in pairs), 2),
    }


def peer_python(folder: Path) -> Path:
    """Return the interpreter of the peers' virtual environment, making it if need be."""
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"Installing {', '.join(PEER_PACKAGES)} into {folder} ...")
        venv.create(folder, with_pip=True)
        command = [str(python), "-m", "pip", "install", "-q", "-c", str(CONSTRAINTS)]
        subprocess.run([*command, *PEER_PACKAGES], check=True)
    return python


def write_results(rows: list[dict[str, Any]], folder: Path) -> None:
    """Write the rows as CSV and as a Markdown table."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "backbone_speed.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    lines = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    lines += [f"| {' | '.join(str(row[key]) for key in COLUMNS)} |" for row in rows]
    machine = f"{os.cpu_count()} cores, {platform.machine()}, Python {platform.python_version()}"
    note = "ratio: KerasCV's time over ours, above 1 is faster than KerasCV. Machine:"
    (folder / "backbone_speed.md").write_text("\n".join([f"{note} {machine}.", "", *lines]) + "\n")


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
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    options = parser.parse_args()
    peer = peer_python(options.peer_venv)
    rows = []
    for backend in options.backends:
        for size in options.sizes:
            for pixels in options.pixels:
                for batch in options.batches:
                    for work in options.work:
                        row = dict(zip(COLUMNS, (backend, size, pixels, batch, work), strict=False))
                        rows.append(measure(peer, row, options.rounds, options.seconds))
                        print(rows[-1], flush=True)
                        write_results(rows, options.out)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        library, size, pixels, batch, work = sys.argv[2:]
        work_on_request(library, size, int(pixels), int(batch), work)
    else:
        main()
