"""Result files: tables as CSV and Markdown, with the command, machine and versions."""

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
# Instruction sets that decide how fast a processor multiplies, by their names on Linux.
INSTRUCTION_SETS = {
    "avx2": "AVX2",
    "avx512f": "AVX-512",
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX VNNI",
    "avx512_bf16": "AVX-512 BF16",
    "amx_bf16": "AMX",
}
PACKAGES = ("keras", "torch", "jax", "tensorflow-cpu", "openvino", "onnxruntime")


def write_results(folder: Path, name: str, text: str, rows: Sequence[Row]) -> None:
    """Write a table as `NAME.csv`, and below a text and its provenance as `NAME.md`."""
    write_csv(folder / f"{name}.csv", rows)
    (folder / f"{name}.md").write_text(
        "\n\n".join([text.strip(), provenance(), markdown(rows)]) + "\n"
    )


def write_csv(path: Path, rows: Sequence[Row]) -> None:
    """Write a table as CSV."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, _columns(rows))
        writer.writeheader()
        writer.writerows(rows)


def read_csv(path: Path) -> list[Row]:
    """Return the rows of an earlier run, with numbers as numbers; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{key: _number(value) for key, value in row.items()} for row in csv.DictReader(file)]


def merge(earlier: Sequence[Row], rows: Sequence[Row], keys: Sequence[str]) -> list[Row]:
    """Return earlier rows and new ones, which replace those with the same values of the keys."""
    new = {tuple(row.get(key) for key in keys) for row in rows}
    return [row for row in earlier if tuple(row.get(key) for key in keys) not in new] + list(rows)


def markdown(rows: Sequence[Row]) -> str:
    """Return a Markdown table with a column for each key of the rows."""
    columns = _columns(rows)
    lines = [columns, *([row.get(column, "") for column in columns] for row in rows)]
    text = [f"| {' | '.join(map(str, line))} |" for line in lines]
    return "\n".join([text[0], f"|{'---|' * len(columns)}", *text[1:]])


def provenance() -> str:
    """Return the command, the machine and the versions of the libraries, as a sentence."""
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *_arguments()])
    if backend := os.environ.get("KERAS_BACKEND"):
        command = f"KERAS_BACKEND={backend} {command}"
    return f"`{command}` on {_machine()}, with {_versions()}."


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _number(text: str) -> Any:
    for number in (int, float):
        with suppress(ValueError):
            return number(text)
    return text


def _arguments() -> list[str]:
    """Return the command-line arguments, without absolute paths, which others do not have."""
    kept: list[str] = []
    for argument in sys.argv[1:]:
        if not Path(argument).is_absolute():
            kept.append(argument)
        elif kept and kept[-1].startswith("--"):
            kept.pop()
    return kept


def _machine() -> str:
    """Return a description such as "2 cores of Xeon (x86_64, AVX2, AVX-512)"."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    fields = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    flags = fields.get("flags", "").split()
    supported = [name for flag, name in INSTRUCTION_SETS.items() if flag in flags]
    name = fields.get("model name") or platform.processor() or "an unnamed processor"
    return f"{os.cpu_count()} cores of {name} ({', '.join([platform.machine(), *supported])})"


def _versions() -> str:
    """Return the versions of Python and of the installed ones of `PACKAGES`."""
    versions = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{package} {importlib.metadata.version(package)}")
    return ", ".join(versions)
