"""Check each extra alone: the wheel with it, and nothing else, in a clean virtual environment.

    python tools/check_extras.py dist/*.whl              # all of them; an hour of installations
    python tools/check_extras.py dist/*.whl jax parquet  # these

In each environment the smallest use of the extra must work, and a function that needs another extra
must fail with the `pip` command that installs it. The extra "none" is the package alone. Options
of pip, such as constraints, are taken from its environment variables.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from pathlib import Path

from extras import CHECKS, EXPORT, EXPORT_EXTRAS, FAILURES, PREPARATION

LONGEST, LONGEST_INSTALLATION = 600, 3600  # seconds


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--model", type=Path, help="an exported model, in place of a new one")
    parser.add_argument("extras", nargs="*", metavar="EXTRA", help="default: all")
    args = parser.parse_intermixed_args()
    if unknown := sorted({*args.extras} - {*CHECKS}):
        parser.error(f"EXTRA must be one of {', '.join(CHECKS)}. Received: {', '.join(unknown)}")
    wheel = args.wheel.resolve()
    with tempfile.TemporaryDirectory(prefix="exported-") as folder:
        model = args.model or exported_model(wheel, Path(folder))
        failed = [name for name in args.extras or CHECKS if not check(wheel, name, model)]
    if failed:
        sys.exit(f"These extras do not work alone: {', '.join(failed)}")


def exported_model(wheel: Path, folder: Path) -> Path:
    """Export a model in an environment of its own; return the file."""
    python = _environment(folder)
    for arguments in (
        ["-m", "pip", "install", "--quiet", f"{wheel}[{EXPORT_EXTRAS}]"],
        ["-c", EXPORT],
    ):
        done = _run([python, *arguments], folder, LONGEST_INSTALLATION)
        if done.returncode:
            sys.exit(f"No model could be exported for the checks: {_last_line(done)}")
    return folder / "model.onnx"


def check(wheel: Path, extra: str, model: Path) -> bool:
    """Install the wheel with one extra, and run its checks; print the result as one line."""
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f"extra-{extra}-") as folder:
        shutil.copy(model, Path(folder, "model.onnx"))
        problems = list(_problems(wheel, extra, Path(folder)))
        megabytes = sum(f.stat().st_size for f in Path(folder).rglob("*") if f.is_file()) / 1e6
    result = "; ".join(problems) or "works"
    print(f"{extra}: {result} ({time.monotonic() - start:.0f} s, {megabytes:.0f} MB)", flush=True)
    return not problems


def _problems(wheel: Path, extra: str, folder: Path) -> Iterator[str]:
    """Yield what is wrong with an extra."""
    python = _environment(folder)
    package = str(wheel) if extra == "none" else f"{wheel}[{extra}]"
    installed = _run(
        [python, "-m", "pip", "install", "--quiet", package], folder, LONGEST_INSTALLATION
    )
    if installed.returncode:
        yield f"pip failed: {_last_line(installed)}"
        return
    done = _run([python, "-c", PREPARATION + CHECKS[extra]], folder)
    if done.returncode:
        yield f"its use failed: {_last_line(done)}"
    known = _modules(python, folder)
    if extra == "jax" and (more := sorted(known & {*FAILURES})):
        yield f"`cspdarknet[jax]` must not install what other extras are for: {', '.join(more)}"
    missing = {module: failure for module, failure in FAILURES.items() if module not in known}
    for module, (other, code) in missing.items():
        done = _run([python, "-c", PREPARATION + code], folder)
        line = _last_line(done)
        if not done.returncode or not re.search(rf"cspdarknet\[[\w,]*\b{other}\b[\w,]*\]", line):
            yield f"without {module}, the error must name the extra {other}. Received: {line}"


def _environment(folder: Path) -> str:
    """Create a virtual environment; return its Python."""
    venv.create(folder, with_pip=True)
    return str(folder / ("Scripts" if sys.platform == "win32" else "bin") / "python")


def _modules(python: str, folder: Path) -> set[str]:
    """Return which modules of other extras are installed."""
    code = "import importlib.util, sys; print(*filter(importlib.util.find_spec, sys.argv[1:]))"
    return {*_run([python, "-c", code, *FAILURES], folder).stdout.split()}


def _run(
    command: list[str], folder: Path, longest: int = LONGEST
) -> subprocess.CompletedProcess[str]:
    left_out = ("KERAS_BACKEND", "PYTHONPATH", "VIRTUAL_ENV")
    environment = {name: text for name, text in os.environ.items() if name not in left_out}
    home = {"KERAS_HOME": str(folder / "keras"), "XDG_CACHE_HOME": str(folder / "cache")}
    return subprocess.run(
        command,
        cwd=folder,
        env={**environment, **home, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        timeout=longest,
        check=False,
    )


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return lines[-1] if lines else f"exit status {done.returncode}"


if __name__ == "__main__":
    main()
