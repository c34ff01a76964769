"""How fast is a forward pass of the backbone, beside KerasCV, timm, and plain exports?

Each contestant is a process of its own that takes turns with the others, and with one that measures
the machine's peak (see peak.py). Those of the same architecture have the same weights; the script
stops if their features differ. Rows are added to those of earlier runs in the same folder, so that
a stop loses nothing.

    python benchmarks/inference_speed.py                                   # tiny and l, 224 pixels
    python benchmarks/inference_speed.py --sizes tiny s m l xl --batches 1 8 32 --pixels 224 640
    python benchmarks/inference_speed.py --sizes l --batches 8 --precisions int8 --without-timm

KerasCV and timm get virtual environments of their own, made on first use.
"""

import argparse
import itertools
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.results import (
    COLORS,
    MARKERS,
    RESULTS,
    Row,
    markdown,
    merge,
    new_figure,
    provenance,
    read_csv,
    save_figure,
    write_csv,
)
from harness.workers import (
    ROOT,
    Worker,
    ending,
    kerascv_python,
    limit_threads,
    median_ratio,
    medians,
    take_turns,
    timm_python,
)
from peak import PRECISIONS, available_precisions, peak_worker
from peers import contestants

WORK = ("size", "batch", "pixels", "precision")
OURS = ("ours, OpenVINO", "ours, ONNX Runtime")
KERASCV = ("KerasCV", "KerasCV, jit_compile")
PLAIN = ("plain export, OpenVINO", "plain export, ONNX Runtime")
# The nearest of timm's networks; it has neither of the small sizes.
TIMM = {
    "m": ["cs3darknet_focus_m"],
    "l": ["cs3darknet_focus_l", "cspdarknet53"],
    "xl": ["cs3darknet_focus_x"],
}
SIZES = ("tiny", "s", "m", "l", "xl")
# How far the features may be off, as a share of their spread. Noise through random weights says
# little about the accuracy of int8; that is measured on photos.
TOLERANCE = {"float32": 1e-3, "bfloat16": 0.2, "int8": 1.0}
ABOUT = (
    "A forward pass of the backbone: each contestant in a process of its own, in turns. Ours is "
    "the faster of our two runtimes. KerasCV is the better of plain and jit_compile, in float32 "
    "in every row. A ratio (×) is the median of the rounds' ratios; above 1, ours is faster. The "
    "share of the peak is that of the rate of single large operations of the same precision in "
    "the same rounds. Rows may come from several runs; the last was"
)


@dataclass(frozen=True)
class Contestant:
    """Somebody who takes turns.

    Attributes:
        name: for the results.
        kind: one of `contestants.CONTESTANTS`.
        python: the interpreter of its environment.
        precision: what it computes in.
        model: timm's name of the network.
    """

    name: str
    kind: str
    python: Path
    precision: str
    model: str = ""


def line_up(work: Row, options: argparse.Namespace) -> Iterator[Contestant]:
    """Yield the contestants of a row."""
    own, precision = Path(sys.executable), work["precision"]
    for name in OURS[:1] if precision == "bfloat16" else OURS:
        yield Contestant(name, name, own, precision)
    for name in KERASCV:
        yield Contestant(name, name, kerascv_python(options.peer_venv), "float32")
    if precision == "int8":
        return
    for name in PLAIN[:1] if precision == "bfloat16" else PLAIN:
        yield Contestant(name, name, own, precision)
    for model in [] if options.without_timm else TIMM.get(work["size"], []):
        python = timm_python(options.timm_venv)
        for kind in ("timm", "timm, torch.compile"):
            yield Contestant(kind.replace("timm", f"timm {model}"), kind, python, precision, model)


def start(contestant: Contestant, work: Row, files: Path, threads: int) -> Worker:
    """Return the process of a contestant.

    Raises:
        SystemExit: if its features are not those of the same network.
    """
    from cspdarknet.presets.sizes import SIZES as ARCHITECTURES

    size = ARCHITECTURES[work["size"]]
    case = contestants.Case(
        **{**work, "precision": contestant.precision},
        threads=threads,
        files=str(files),
        channels=list(size.stackwise_channels),
        depth=list(size.stackwise_depth),
        model=contestant.model,
    )
    command = [
        contestant.python,
        "-m",
        contestants.__name__,
        contestant.kind,
        json.dumps(vars(case)),
    ]
    environment = {"KERAS_BACKEND": "tensorflow", **limit_threads(threads)}
    worker = Worker(command, environment)
    difference = worker.about.get("difference", 0)
    if not difference <= TOLERANCE[contestant.precision]:
        worker.stop()
        raise SystemExit(f"The features of {contestant.name} are off by {difference:.0%}.")
    return worker


def measure(work: Row, files: Path, options: argparse.Namespace) -> list[Row]:
    """Return a row for each contestant."""
    from peers.networks import count_gflop

    line = list(line_up(work, options))
    with ending() as workers:
        for contestant in line:
            workers[contestant.name] = start(contestant, work, files, options.threads)
        workers["peak"] = peak_worker(work["precision"], options.threads)
        about = {name: worker.about for name, worker in workers.items()}
        *_, times = take_turns(workers, options.rounds, options.seconds)
    own_gflop = count_gflop(files, work["batch"], work["pixels"])
    best = min(KERASCV, key=lambda name: statistics.median(medians(times[name])))
    bases = {"KerasCV": best} | {name: name for name in PLAIN if name in times}
    rows = []
    for contestant in line:
        name = contestant.name
        gflop = about[name].get("gflop", own_gflop)
        seconds = statistics.median(medians(times[name]))
        row = {
            **work,
            "contestant": name,
            "ms": round(1e3 * seconds, 2),
            "least ms": round(1e3 * min(map(min, times[name])), 2),
            "images/s": round(work["batch"] / seconds, 1),
            "GFLOP": round(gflop, 2),
            "GFLOP/s": round(gflop / seconds, 1),
            "peak GFLOP/s": "",
            "share of peak": "",
            **{
                f"× {base}": round(median_ratio(times[b], times[name]), 2)
                for base, b in bases.items()
            },
            "features off by": f"{about[name]['difference']:.0e}"
            if "difference" in about[name]
            else "",
        }
        if contestant.precision == work["precision"]:
            peak = about["peak"]["gflop"] / statistics.median(medians(times["peak"]))
            factor = gflop / about["peak"]["gflop"]
            row["peak GFLOP/s"] = round(peak, 1)
            row["share of peak"] = round(factor * median_ratio(times["peak"], times[name]), 3)
        rows.append(row)
    return rows


def summary(rows: Sequence[Row]) -> Row:
    """Return the row of the Markdown table for all contestants of one work."""
    ours = min((row for row in rows if row["contestant"] in OURS), key=lambda row: row["ms"])
    kerascv = min((row for row in rows if row["contestant"] in KERASCV), key=lambda row: row["ms"])
    ratios = {key: value for key, value in ours.items() if key.startswith("×")}
    return {
        **{key: ours[key] for key in WORK},
        "ours, ms": ours["ms"],
        "runtime": ours["contestant"].removeprefix("ours, "),
        "KerasCV, ms": kerascv["ms"],
        **ratios,
        "GFLOP/s": ours["GFLOP/s"],
        "peak GFLOP/s": ours["peak GFLOP/s"],
        "share of peak": ours["share of peak"],
    }


def write(rows: Sequence[Row], folder: Path) -> None:
    """Write all rows as CSV, Markdown and a plot."""
    rows = sorted(rows, key=lambda row: (SIZES.index(row["size"]), *(row[k] for k in WORK[1:])))
    write_csv(folder / "inference_speed.csv", rows)
    groups = [
        list(group) for _, group in itertools.groupby(rows, key=lambda row: [row[k] for k in WORK])
    ]
    parts = [f"{ABOUT} {provenance()}", markdown([summary(group) for group in groups])]
    parts += ["All contestants:", markdown(rows)]
    (folder / "inference_speed.md").write_text("\n\n".join(parts) + "\n")
    plot(groups, folder / "inference_speed.png")


def plot(groups: Sequence[Sequence[Row]], path: Path) -> None:
    """Draw a line for each work with a mark for each contestant."""
    figure, axes = new_figure(1, 2, size=(11, 1.8 + 0.28 * len(groups)))
    looks: dict[str, tuple[str, str]] = {}
    free = zip(COLORS, MARKERS, strict=True)
    for place, group in enumerate(groups):
        for row in group:
            kind = (
                "timm, torch.compile"
                if row["contestant"].endswith("torch.compile")
                else row["contestant"]
            )
            kind = "timm" if kind.startswith("timm ") else kind
            label = None if kind in looks else kind
            if label:
                looks[kind] = next(free)
            color, marker = looks[kind]
            style = {"color": color, "marker": marker, "linestyle": "", "alpha": 0.8}
            axes[0, 0].plot(
                row["images/s"] * row["GFLOP"] / row["batch"], place, label=label, **style
            )
            if row["share of peak"] != "":
                axes[0, 1].plot(row["share of peak"], place, **style)
    for axis in axes[0]:
        axis.set_yticks(range(len(groups)))
        axis.set_ylim(len(groups) - 0.5, -0.5)
    names = [f"{g['size']} {g['batch']} × {g['pixels']}², {g['precision']}" for g, *_ in groups]
    axes[0, 0].set_yticks(range(len(groups)), names)
    axes[0, 1].set_yticklabels([])
    axes[0, 0].set_xlabel("GFLOP/s")
    axes[0, 0].set_xlim(left=0)
    axes[0, 1].set_xlabel("share of the measured peak")
    axes[0, 1].set_xlim(0, 1)
    figure.legend(loc="outside upper center", ncols=4)
    save_figure(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=["tiny", "l"], choices=SIZES)
    parser.add_argument("--batches", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--pixels", nargs="+", type=int, default=[224])
    parser.add_argument("--precisions", nargs="+", choices=PRECISIONS, help="all by default")
    parser.add_argument("--without-timm", action="store_true", help="its environment is large")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each contestant")
    parser.add_argument("--seconds", type=float, default=1.0, help="length of a turn")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--peer-venv", type=Path, default=ROOT / ".venv-kerascv")
    parser.add_argument("--timm-venv", type=Path, default=ROOT / ".venv-timm")
    parser.add_argument(
        "--files", type=Path, help="keep the networks' files here; remove it after changes"
    )
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    os.environ.setdefault("KERAS_BACKEND", "torch")  # of the process that writes the files
    from peers.networks import prepare

    rows = read_csv(options.out / "inference_speed.csv")
    cases = itertools.product(
        options.sizes,
        options.batches,
        options.pixels,
        options.precisions or available_precisions(),
    )
    with tempfile.TemporaryDirectory() as temporary:
        for size, batch, pixels, precision in cases:
            files = (options.files or Path(temporary)) / size
            prepare(files, size, int8=precision == "int8")
            work = dict(zip(WORK, (size, batch, pixels, precision), strict=True))
            found = measure(work, files, options)
            print(markdown([summary(found)]), flush=True)
            rows = merge(rows, found, WORK)
            write(rows, options.out)


if __name__ == "__main__":
    main()
