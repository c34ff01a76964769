"""How does the time of inference grow with image size, batch size, depth and cores?

`Predictor` on an exported file takes turns with a process that measures the peak of the machine on
as many threads (see peak.py).

    python benchmarks/scaling.py
    python benchmarks/scaling.py --variables image_size batch_size --runtime onnxruntime
"""

import os
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from harness.arguments import benchmark_parser
from harness.images import noise
from harness.plots import new_figure, save_figure
from harness.results import Row, merge, read_csv, write_results
from harness.turns import median_ratio, median_seconds
from harness.workers import (
    Work,
    limit_threads,
    run_script,
    running_workers,
    start_worker,
    time_workers,
)
from peak import start_peak_worker

# What varies, with the label of its axis.
VARIABLES = {
    "image_size": "side of the image in pixels",
    "batch_size": "batch size",
    "depth": "bottlenecks of the first stage",
    "cores": "cores",
}
SUFFIXES = {"openvino": ".xml", "onnxruntime": ".onnx"}
TINY, LARGE = (48, 96, 192, 384), (128, 256, 512, 1024)


@dataclass(frozen=True)
class Case:
    """A network and a batch to measure.

    Attributes:
        variable: The attribute that varies.
        channels: Number of channels of each stage.
        depth: Number of bottlenecks of the first stage; the others have 3, 3 and 1 times as many.
        batch_size: Number of images in a call.
        image_size: Side of the images in pixels.
        cores: Number of cores.
    """

    variable: str
    channels: tuple[int, ...] = TINY
    depth: int = 1
    batch_size: int = 1
    image_size: int = 224
    cores: int = os.cpu_count() or 1


def cases(variables: Sequence[str]) -> Iterator[Case]:
    """Yield the cases of each variable."""
    large = Case("cores", channels=LARGE, depth=3, batch_size=4)
    by_variable: dict[str, list[Case]] = {
        "image_size": [Case("image_size", image_size=n) for n in (128, 224, 320, 448, 640, 896)],
        "batch_size": [Case("batch_size", batch_size=n) for n in (1, 2, 4, 8, 16, 32)],
        "depth": [Case("depth", channels=LARGE, depth=n) for n in (1, 2, 3, 4)],
        "cores": [replace(large, cores=n) for n in core_counts()],
    }
    for variable in variables:
        yield from by_variable[variable]


def core_counts() -> list[int]:
    """Return 1, 2, 4 and so on, up to the number of cores."""
    count = os.cpu_count() or 1
    return sorted({2**i for i in range(count.bit_length()) if 2**i <= count} | {count})


def work(path: str, runtime: str, batch_size: int, image_size: int, threads: int) -> Work:
    """Run a `Predictor` on a batch of images."""
    from cspdarknet import Predictor

    predictor = Predictor(path, runtime=runtime, threads=threads)
    images = noise(batch_size, image_size)
    return lambda: predictor.run(images), {}


def measure(case: Case, folder: Path, options: Namespace) -> Row:
    """Return the row of a case."""
    import onnx

    from cspdarknet.export.onnx.flops import count_flops

    path = folder / f"{case.channels[0]}-{case.depth}"
    write_files(path, case)
    with running_workers() as workers:
        workers["ours"] = start_worker(
            __file__,
            limit_threads(case.cores),
            path=str(path.with_suffix(SUFFIXES[options.runtime])),
            runtime=options.runtime,
            batch_size=case.batch_size,
            image_size=case.image_size,
            threads=case.cores,
        )
        workers["peak"] = start_peak_worker("float32", case.cores)
        *_, times = time_workers(workers, options.rounds, options.seconds)
        peak_gflop = workers["peak"].facts["gflop"]
    graph = onnx.load(path.with_suffix(".onnx"))
    shape = (case.batch_size, case.image_size, case.image_size, 3)
    gflop = count_flops(graph, shape) / 1e9
    seconds = median_seconds(times["ours"])
    fraction = gflop / peak_gflop * median_ratio(times["peak"], times["ours"])
    return {
        **asdict(case),
        "channels": " ".join(map(str, case.channels)),
        "ms": round(1e3 * seconds, 2),
        "ms per image": round(1e3 * seconds / case.batch_size, 2),
        "GFLOP": round(gflop, 2),
        "GFLOP/s": round(gflop / seconds, 1),
        "fraction of peak": round(fraction, 3),
    }


def write_files(path: Path, case: Case) -> None:
    """Export the network of a case, unless its files exist."""
    from cspdarknet import CSPDarkNetBackbone
    from cspdarknet.export import export

    depth = [case.depth, 3 * case.depth, 3 * case.depth, case.depth]
    if not path.with_suffix(".xml").exists():
        model = CSPDarkNetBackbone(case.channels, depth, include_rescaling=True)
        for suffix in (".onnx", ".xml"):
            export(model, path.with_suffix(suffix), inputs="float32")


def plot(rows: Sequence[Row], path: Path) -> None:
    """Draw the milliseconds and the fraction of the peak over each variable."""
    variables = [name for name in VARIABLES if any(row["variable"] == name for row in rows)]
    figure, axes = new_figure(2, len(variables), size=(3.2 * len(variables), 5))
    for column, variable in zip(axes.T, variables, strict=True):
        varied = [row for row in rows if row["variable"] == variable]
        x = [row[variable] for row in varied]
        column[0].plot(x, [row["ms per image"] for row in varied], "o-")
        column[0].set_ylim(bottom=0)
        column[1].plot(x, [row["fraction of peak"] for row in varied], "o-")
        column[1].set_ylim(0, 1)
        column[1].set_xlabel(VARIABLES[variable])
        for axis in column:
            if variable != "depth":
                axis.set_xscale("log", base=2)
            axis.set_xticks(x, x)
            axis.minorticks_off()
    axes[0, 0].set_ylabel("ms per image")
    axes[1, 0].set_ylabel("fraction of the measured peak")
    save_figure(figure, path)


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=5, seconds=0.5)
    parser.add_argument("--variables", nargs="+", default=VARIABLES, choices=VARIABLES)
    parser.add_argument("--runtime", default="openvino", choices=list(SUFFIXES))
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")  # of this process, which exports
    rows = read_csv(options.out / "scaling.csv")
    text = (
        f"`Predictor`, float32, on {options.runtime}: medians of {options.rounds} rounds in turns "
        "with the peak on as many cores. `variable` is what varies."
    )
    with tempfile.TemporaryDirectory() as temporary:
        for case in cases(options.variables):
            row = measure(case, Path(temporary), options)
            print(row, flush=True)
            rows = merge(rows, [row], ("variable", case.variable))
            write_results(options.out, "scaling", text, rows)
            plot(rows, options.out / "scaling.png")


if __name__ == "__main__":
    run_script(main, work)
