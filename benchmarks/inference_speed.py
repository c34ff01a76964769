"""How fast is a forward pass of the backbone, compared with KerasCV, timm and plain exports?

Each contestant is a process of its own that takes turns with the others, and with one that measures
the peak of the machine (see peak.py). Those of the same architecture have the same weights, and the
script stops if their features differ. Rows are added to those of earlier runs in the same folder,
so that an interruption loses nothing.

    python benchmarks/inference_speed.py                                   # tiny and l, 224 pixels
    python benchmarks/inference_speed.py --model-sizes tiny s m l xl --image-sizes 224 640
    python benchmarks/inference_speed.py --model-sizes l --precisions int8 --without-timm

KerasCV and timm get virtual environments of their own, made on first use.
"""

import itertools
import os
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.arguments import MODEL_SIZES, benchmark_parser
from harness.plots import COLORS, MARKERS, new_figure, save_figure
from harness.results import Row, markdown, merge, provenance, read_csv, write_csv
from harness.turns import Times, median_ratio, median_seconds
from harness.workers import (
    ROOT,
    Work,
    Worker,
    kerascv_python,
    limit_threads,
    run_script,
    running_workers,
    start_worker,
    time_workers,
    timm_python,
)
from peak import PRECISIONS, available_precisions, start_peak_worker
from peers.contestants import CONTESTANTS, Case
from peers.kerascv import architecture

CASE = ("model_size", "batch_size", "image_size", "precision")
OURS = ("ours, OpenVINO", "ours, ONNX Runtime")
KERASCV = ("KerasCV", "KerasCV, jit_compile")
PLAIN = ("plain export, OpenVINO", "plain export, ONNX Runtime")
# The most similar networks of timm, which has none as small as the other sizes.
TIMM = {
    "m": ["cs3darknet_focus_m"],
    "l": ["cs3darknet_focus_l", "cspdarknet53"],
    "xl": ["cs3darknet_focus_x"],
}
# Maximum relative error of the features. Noise through random weights says little about the
# accuracy of int8, which precision_cost.py measures on photographs.
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.2, "int8": 1.0}
TEXT = (
    "A forward pass of the backbone: each contestant in a process of its own, in turns. Ours is "
    "the faster of our two runtimes. KerasCV is the better of plain and jit_compile, in float32 "
    "in every row. A ratio (×) is the median of the rounds' ratios; above 1, ours is faster. The "
    "fraction of the peak refers to the rate of single large operations of the same precision in "
    "the same rounds. Rows may come from several runs; the last was"
)


@dataclass(frozen=True)
class Contestant:
    """One of those that take turns.

    Attributes:
        name: Its name in the results.
        kind: One of `contestants.CONTESTANTS`.
        python: The interpreter of its environment.
        precision: The precision that it computes in.
        timm_model: timm's name of the network.
    """

    name: str
    kind: str
    python: str | Path
    precision: str
    timm_model: str = ""


def contestants(case: Row, options: Namespace) -> Iterator[Contestant]:
    """Yield the contestants of a case."""
    own, precision = sys.executable, case["precision"]
    for name in OURS[:1] if precision == "bfloat16" else OURS:
        yield Contestant(name, name, own, precision)
    for name in KERASCV:
        yield Contestant(name, name, kerascv_python(options.kerascv_venv), "float32")
    if precision == "int8":
        return
    for name in PLAIN[:1] if precision == "bfloat16" else PLAIN:
        yield Contestant(name, name, own, precision)
    for model in [] if options.without_timm else TIMM.get(case["model_size"], []):
        python = timm_python(options.timm_venv)
        for kind in ("timm", "timm, torch.compile"):
            yield Contestant(kind.replace("timm", f"timm {model}"), kind, python, precision, model)


def work(kind: str, case: dict[str, Any]) -> Work:
    """Run a contestant."""
    return CONTESTANTS[kind](Case(**case))


def start(contestant: Contestant, case: Row, files: Path, threads: int) -> Worker:
    """Start the worker of a contestant.

    Raises:
        SystemExit: If its features are not those of the same network.
    """
    settings = Case(
        case["batch_size"],
        case["image_size"],
        contestant.precision,
        threads,
        str(files),
        architecture(case["model_size"]),
        contestant.timm_model,
    )
    environment = {"KERAS_BACKEND": "tensorflow", **limit_threads(threads)}
    worker = start_worker(
        __file__, environment, contestant.python, kind=contestant.kind, case=asdict(settings)
    )
    error = worker.facts.get("relative_error", 0)
    if not error <= TOLERANCE[contestant.precision]:
        worker.stop()
        sys.exit(f"The features of {contestant.name} have a relative error of {error:.0%}.")
    return worker


def measure(case: Row, files: Path, options: Namespace) -> list[Row]:
    """Return a row for each contestant."""
    from peers.networks import count_gflop

    lineup = list(contestants(case, options))
    with running_workers() as workers:
        for contestant in lineup:
            workers[contestant.name] = start(contestant, case, files, options.threads)
        workers["peak"] = start_peak_worker(case["precision"], options.threads)
        facts = {name: worker.facts for name, worker in workers.items()}
        *_, times = time_workers(workers, options.rounds, options.seconds)
    gflop = count_gflop(files, case["batch_size"], case["image_size"])
    for contestant in lineup:
        facts[contestant.name].setdefault("gflop", gflop)
    return [row_of(contestant, case, times, facts) for contestant in lineup]


def row_of(contestant: Contestant, case: Row, times: Times, facts: dict[str, Row]) -> Row:
    """Return the row of a contestant."""
    name, rounds = contestant.name, times[contestant.name]
    gflop, seconds = facts[name]["gflop"], median_seconds(rounds)
    best_kerascv = min(KERASCV, key=lambda name: median_seconds(times[name]))
    bases = {"KerasCV": best_kerascv} | {name: name for name in PLAIN if name in times}
    peak: Row = {"peak GFLOP/s": "", "fraction of peak": ""}
    if contestant.precision == case["precision"]:
        peak_gflop = facts["peak"]["gflop"]
        fraction = gflop / peak_gflop * median_ratio(times["peak"], rounds)
        peak = {
            "peak GFLOP/s": round(peak_gflop / median_seconds(times["peak"]), 1),
            "fraction of peak": round(fraction, 3),
        }
    error = facts[name].get("relative_error")
    return {
        **case,
        "contestant": name,
        "ms": round(1e3 * seconds, 2),
        "minimum ms": round(1e3 * min(map(min, rounds)), 2),
        "images/s": round(case["batch_size"] / seconds, 1),
        "GFLOP": round(gflop, 2),
        "GFLOP/s": round(gflop / seconds, 1),
        **peak,
        **{f"× {key}": round(median_ratio(times[b], rounds), 2) for key, b in bases.items()},
        "relative error": "" if error is None else f"{error:.0e}",
    }


def summary(rows: Sequence[Row]) -> Row:
    """Return the row of a case in the summary."""
    ours = min((row for row in rows if row["contestant"] in OURS), key=lambda row: row["ms"])
    kerascv = min((row for row in rows if row["contestant"] in KERASCV), key=lambda row: row["ms"])
    ratios = {key: value for key, value in ours.items() if key.startswith("×")}
    return {
        **{key: ours[key] for key in CASE},
        "ours, ms": ours["ms"],
        "runtime": ours["contestant"].removeprefix("ours, "),
        "KerasCV, ms": kerascv["ms"],
        **ratios,
        **{key: ours[key] for key in ("GFLOP/s", "peak GFLOP/s", "fraction of peak")},
    }


def write(rows: Sequence[Row], folder: Path) -> None:
    """Write all rows as CSV, and with a summary as Markdown and a plot."""
    rows = sorted(
        rows, key=lambda row: (MODEL_SIZES.index(row["model_size"]), *(row[k] for k in CASE[1:]))
    )
    write_csv(folder / "inference_speed.csv", rows)
    groups = [
        list(group) for _, group in itertools.groupby(rows, key=lambda row: [row[k] for k in CASE])
    ]
    sections = [f"{TEXT} {provenance()}", markdown([summary(group) for group in groups])]
    sections += ["All contestants:", markdown(rows)]
    (folder / "inference_speed.md").write_text("\n\n".join(sections) + "\n")
    plot(groups, folder / "inference_speed.png")


def plot(groups: Sequence[Sequence[Row]], path: Path) -> None:
    """Draw a line for each case with a mark for each contestant."""
    figure, axes = new_figure(1, 2, size=(11, 1.8 + 0.28 * len(groups)))
    styles: dict[str, Row] = {}
    for line, group in enumerate(groups):
        for row in group:
            kind = row["contestant"]
            if kind.startswith("timm "):
                kind = "timm, torch.compile" if kind.endswith("torch.compile") else "timm"
            label = None if kind in styles else kind
            i = len(styles)
            style = {"color": COLORS[i % len(COLORS)], "marker": MARKERS[i % len(MARKERS)]}
            style = styles.setdefault(kind, {**style, "linestyle": "", "alpha": 0.8})
            rate = row["images/s"] * row["GFLOP"] / row["batch_size"]
            axes[0, 0].plot(rate, line, label=label, **style)
            if row["fraction of peak"] != "":
                axes[0, 1].plot(row["fraction of peak"], line, **style)
    for axis in axes[0]:
        axis.set_yticks(range(len(groups)))
        axis.set_ylim(len(groups) - 0.5, -0.5)
    names = [
        f"{row['model_size']} {row['batch_size']} × {row['image_size']}², {row['precision']}"
        for row, *_ in groups
    ]
    axes[0, 0].set_yticks(range(len(groups)), names)
    axes[0, 1].set_yticklabels([])
    axes[0, 0].set_xlabel("GFLOP/s")
    axes[0, 0].set_xlim(left=0)
    axes[0, 1].set_xlabel("fraction of the measured peak")
    axes[0, 1].set_xlim(0, 1)
    figure.legend(loc="outside upper center", ncols=4)
    save_figure(figure, path)


def main() -> None:
    parser = benchmark_parser(
        __doc__,
        model_sizes=["tiny", "l"],
        image_sizes=[224],
        batch_sizes=[1, 8],
        rounds=7,
        seconds=1.0,
        threads=True,
        kerascv=True,
    )
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, help="all by default")
    parser.add_argument("--without-timm", action="store_true", help="its environment is large")
    parser.add_argument("--timm-venv", type=Path, default=ROOT / ".venv-timm")
    parser.add_argument(
        "--files", type=Path, help="keep the files of the networks here; delete it after changes"
    )
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")  # of this process, which writes the files
    from peers.networks import prepare

    rows = read_csv(options.out / "inference_speed.csv")
    precisions = options.precisions or available_precisions()
    with tempfile.TemporaryDirectory() as temporary:
        for values in itertools.product(
            options.model_sizes, options.batch_sizes, options.image_sizes, precisions
        ):
            case = dict(zip(CASE, values, strict=True))
            files = (options.files or Path(temporary)) / case["model_size"]
            prepare(files, case["model_size"], int8=case["precision"] == "int8")
            measured = measure(case, files, options)
            print(markdown([summary(measured)]), flush=True)
            rows = merge(rows, measured, CASE)
            write(rows, options.out)


if __name__ == "__main__":
    run_script(main, work)
