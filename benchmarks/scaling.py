"""How does the cost grow with pixels, batch, depth and cores?

`Predictor` on an exported file, in turns with a process that measures the machine's peak on as many
threads (see peak.py).

    python benchmarks/scaling.py
    python benchmarks/scaling.py --questions pixels batch --runtime onnxruntime
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from harness.results import (
    RESULTS,
    Row,
    merge,
    new_figure,
    read_csv,
    save_figure,
    write_csv,
    write_table,
)
from harness.workers import Worker, ending, limit_threads, median_ratio, medians, serve, take_turns
from peak import peak_worker

QUESTIONS = ("pixels", "batch", "depth", "cores")
SUFFIXES = {"openvino": ".xml", "onnxruntime": ".onnx"}
TINY, LARGE = (48, 96, 192, 384), (128, 256, 512, 1024)


@dataclass(frozen=True)
class Case:
    """What to run.

    Attributes:
        question: what grows.
        value: how large it is.
        channels: of the stages.
        depth: bottlenecks of the first stage; the others have 3, 3 and 1 times as many.
        batch: images in a call.
        pixels: of a side of the images.
        cores: that may be used.
    """

    question: str
    value: int
    channels: tuple[int, ...] = TINY
    depth: int = 1
    batch: int = 1
    pixels: int = 224
    cores: int = os.cpu_count() or 1


def cases(questions: Sequence[str]) -> Iterator[Case]:
    """Yield what to run for each question."""
    growing: dict[str, list[Case]] = {
        "pixels": [Case("pixels", n, pixels=n) for n in (128, 224, 320, 448, 640, 896)],
        "batch": [Case("batch", n, batch=n) for n in (1, 2, 4, 8, 16, 32)],
        "depth": [Case("depth", n, channels=LARGE, depth=n) for n in (1, 2, 3, 4)],
        "cores": [
            Case("cores", n, channels=LARGE, depth=3, batch=4, cores=n) for n in core_counts()
        ],
    }
    for question in questions:
        yield from growing[question]


def core_counts() -> list[int]:
    """Return 1, 2, 4 ... and the number of cores."""
    most = os.cpu_count() or 1
    return sorted({2**i for i in range(most.bit_length()) if 2**i <= most} | {most})


def measure(case: Case, runtime: str, folder: Path, rounds: int, seconds: float) -> Row:
    """Return the row of a case."""
    import onnx

    from cspdarknet.export.onnx.flops import count_flops

    name = f"{case.channels[0]}-{case.depth}"
    write_files(folder / name, case)
    path = (folder / name).with_suffix(SUFFIXES[runtime])
    shape = [str(n) for n in (case.batch, case.pixels, case.cores)]
    with ending() as workers:
        command = [sys.executable, __file__, "--worker", runtime, path, *shape]
        workers["ours"] = Worker(command, limit_threads(case.cores))
        workers["peak"] = peak_worker("float32", case.cores)
        *_, times = take_turns(workers, rounds, seconds)
        peak_gflop = workers["peak"].about["gflop"]
    graph = onnx.load((folder / name).with_suffix(".onnx"))
    gflop = count_flops(graph, (case.batch, case.pixels, case.pixels, 3)) / 1e9
    taken = statistics.median(medians(times["ours"]))
    return {
        **asdict(case),
        "channels": " ".join(map(str, case.channels)),
        "ms": round(1e3 * taken, 2),
        "ms per image": round(1e3 * taken / case.batch, 2),
        "GFLOP": round(gflop, 2),
        "GFLOP/s": round(gflop / taken, 1),
        "share of peak": round(gflop / peak_gflop * median_ratio(times["peak"], times["ours"]), 3),
    }


def write_files(path: Path, case: Case) -> None:
    """Export the network of a case."""
    from cspdarknet.export import export
    from cspdarknet.models import CSPDarkNetBackbone

    depth = [case.depth, 3 * case.depth, 3 * case.depth, case.depth]
    if not path.with_suffix(".xml").exists():
        model = CSPDarkNetBackbone(case.channels, depth, include_rescaling=True)
        for suffix in (".onnx", ".xml"):
            export(model, path.with_suffix(suffix), inputs="float32")


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw milliseconds and the share of the peak for each question."""
    questions = [question for question in QUESTIONS if any(r["question"] == question for r in rows)]
    figure, axes = new_figure(2, len(questions), size=(3.2 * len(questions), 5))
    units = {
        "pixels": "pixels of a side",
        "batch": "images in a batch",
        "depth": "bottlenecks of the first stage",
        "cores": "cores",
    }
    for column, question in zip(axes.T, questions, strict=True):
        found = [row for row in rows if row["question"] == question]
        x = [row["value"] for row in found]
        column[0].plot(x, [row["ms per image"] for row in found], "o-")
        column[0].set_ylim(bottom=0)
        column[1].plot(x, [row["share of peak"] for row in found], "o-")
        column[1].set_ylim(0, 1)
        column[1].set_xlabel(units[question])
        for axis in column:
            if question != "depth":
                axis.set_xscale("log", base=2)
            axis.set_xticks(x, x)
            axis.minorticks_off()
    axes[0, 0].set_ylabel("ms per image")
    axes[1, 0].set_ylabel("share of the measured peak")
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", nargs="+", default=QUESTIONS, choices=QUESTIONS)
    parser.add_argument("--runtime", default="openvino", choices=list(SUFFIXES))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a turn")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")  # of the process that exports
    rows = read_csv(options.out / "scaling.csv")
    text = (
        f"`Predictor`, float32, on {options.runtime}: medians of {options.rounds} rounds in turns "
        "with the peak on as many cores. `value` is what grows."
    )
    with tempfile.TemporaryDirectory() as temporary:
        for case in cases(options.questions):
            row = measure(case, options.runtime, Path(temporary), options.rounds, options.seconds)
            print(row, flush=True)
            rows = merge(rows, [row], ("question", "value"))
            write_csv(options.out / "scaling.csv", rows)
            write_table(options.out / "scaling.md", text, rows)
            plot(rows, options.out / "scaling.png")


def work(runtime: str, path: str, batch: int, pixels: int, threads: int) -> None:
    """Be the worker."""
    import numpy as np

    from cspdarknet.inference import Predictor

    predictor = Predictor(path, runtime=runtime, threads=threads)
    images = np.random.default_rng(0).uniform(0, 255, (batch, pixels, pixels, 3)).astype("float32")
    serve(lambda: predictor.run(images))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        runtime, path, *shape = sys.argv[2:]
        work(runtime, path, *map(int, shape))
    else:
        main()
