"""What the benchmarks share to write down results: tables, the machine, the looks of plots."""

import csv
import importlib.metadata
import os
import platform
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parents[1] / "results"
Row = dict[str, Any]
COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#000000"]
MARKERS = "osD^vPX*"
# Instructions that decide how fast a processor multiplies, by what Linux calls them.
INSTRUCTIONS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_bf16": "AMX",
}


def markdown(rows: Sequence[Row]) -> str:
    """Return a table with a column for each key of the rows."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    text = [f"| {' | '.join(map(str, line))} |" for line in lines]
    return "\n".join([text[0], f"|{'---|' * len(columns)}", *text[1:]])


def write_table(path: Path, text: str, rows: Sequence[Row]) -> None:
    """Write results as Markdown: what they are, how they came about, and a table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n\n".join([text, provenance(), markdown(rows)]) + "\n")


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write results as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    columns = list(dict.fromkeys(key for row in rows for key in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: Path) -> list[Row]:
    """Return the rows of an earlier run, with numbers as numbers; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def merge(earlier: Sequence[Row], rows: Sequence[Row], keys: Sequence[str]) -> list[Row]:
    """Return earlier rows and new ones, which replace those of the same keys."""
    new = {tuple(row.get(key) for key in keys) for row in rows}
    return [row for row in earlier if tuple(row.get(key) for key in keys) not in new] + list(rows)


def _number(text: str) -> Any:
    for kind in (int, float):
        with suppress(ValueError):
            return kind(text)
    return text


def _arguments() -> list[str]:
    """Return the arguments, without those that name a place on this machine."""
    kept: list[str] = []
    for argument in sys.argv[1:]:
        if not Path(argument).is_absolute():
            kept.append(argument)
        elif kept and kept[-1].startswith("--"):
            kept.pop()
    return kept


def provenance() -> str:
    """Say which command, on which machine and with which libraries."""
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *_arguments()])
    if backend := os.environ.get("KERAS_BACKEND"):
        command = f"KERAS_BACKEND={backend} {command}"
    names = ("keras", "torch", "jax", "tensorflow-cpu", "openvino", "onnxruntime")
    return f"`{command}` on {machine()}, with {versions(names)}."


def machine() -> str:
    """Describe the processor, such as "2 cores of Xeon (x86_64, AVX2, AVX-512)"."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    facts = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    flags = facts.get("flags", "").split()
    known = [name for flag, name in INSTRUCTIONS.items() if flag in flags]
    name = facts.get("model name") or platform.processor() or "an unnamed processor"
    return f"{os.cpu_count()} cores of {name} ({', '.join([platform.machine(), *known])})"


def versions(packages: Sequence[str]) -> str:
    """Name Python and the installed ones of some packages, with their versions."""
    found = [f"Python {platform.python_version()}"]
    for package in packages:
        with suppress(importlib.metadata.PackageNotFoundError):
            found.append(f"{package} {importlib.metadata.version(package)}")
    return ", ".join(found)


def new_figure(rows: int = 1, columns: int = 1, size: tuple[float, float] = (7, 4.5)) -> Any:
    """Return a figure and its axes, in the style of all plots here."""
    import matplotlib as mpl
    from cycler import cycler

    mpl.use("agg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=COLORS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.alpha": 0.3,
            "font.size": 9,
            "legend.frameon": False,
        }
    )
    return plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as PNG and close it."""
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)
