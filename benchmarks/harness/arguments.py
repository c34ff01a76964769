"""The command-line options that several benchmarks have."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from harness.results import RESULTS
from harness.workers import ROOT

# Those of KerasCV's presets.
MODEL_SIZES = ("tiny", "s", "m", "l", "xl")


def benchmark_parser(
    description: str | None,
    *,
    model_sizes: Sequence[str] = (),
    image_sizes: Sequence[int] = (),
    batch_sizes: Sequence[int] = (),
    rounds: int | None = None,
    seconds: float | None = None,
    threads: bool = False,
    kerascv: bool = False,
    out: bool = True,
) -> argparse.ArgumentParser:
    """Return a parser whose help begins with the docstring of the script.

    Args:
        description: The docstring.
        model_sizes: Default of `--model-sizes`; the option is left out where there is none, and
            so are those of the next arguments.
        image_sizes: Default of `--image-sizes`.
        batch_sizes: Default of `--batch-sizes`.
        rounds: Default of `--rounds`.
        seconds: Default of `--seconds`.
        threads: Whether there is `--threads`.
        kerascv: Whether there is `--kerascv-venv`.
        out: Whether there is `--out`.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    if model_sizes:
        add("--model-sizes", nargs="+", default=model_sizes, choices=MODEL_SIZES)
    if image_sizes:
        add("--image-sizes", nargs="+", type=int, default=image_sizes, help="side in pixels")
    if batch_sizes:
        add("--batch-sizes", nargs="+", type=int, default=batch_sizes)
    if rounds is not None:
        add("--rounds", type=int, default=rounds, help="number of turns of each contestant")
    if seconds is not None:
        add("--seconds", type=float, default=seconds, help="approximate length of a turn")
    if threads:
        add("--threads", type=int, default=os.cpu_count() or 1)
    if kerascv:
        text = "virtual environment of KerasCV, made on first use"
        add("--kerascv-venv", type=Path, default=ROOT / ".venv-kerascv", help=text)
    if out:
        add("--out", type=Path, default=RESULTS, help="folder of the results")
    return parser
