"""The option `--engine`, and the bulk jobs that it starts."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console
from typer import Exit

from cspdarknet._keras import build_on_numpy
from cspdarknet.cli.choices import ENGINES, choice
from cspdarknet.cli.progress import interruptible, progress_bar
from cspdarknet.cli.results import say

RAY = "ray"
EngineOption = Annotated[
    str,
    choice(
        ENGINES,
        help="ray: a job on a Ray cluster, for folders, URLs, lists, Parquet files and tars. It "
        "writes Parquet files into the folder --out, and is continued by the same command.",
    ),
]


def run_on_engine(
    task: str,
    model: str,
    sources: Sequence[str],
    out: Path | str | None,
    unfit: Mapping[str, Any],
    **settings: Any,
) -> None:
    """Run a bulk job on Ray, with a progress bar, and say what was written.

    Args:
        task: the task of the model.
        model: the argument MODEL.
        sources: the argument IMAGES.
        out: the option `--out`.
        unfit: options of the command that do not apply, with their values if they are given.
        **settings: other arguments of `BulkJob`.

    Raises:
        ValueError: if an option does not fit.
        Exit: with status 1, if images cannot be used.
    """
    if given := [name for name, value in unfit.items() if value]:
        raise ValueError(
            "With `--engine ray`, the results are Parquet files in the folder `--out`. Received: "
            f"{', '.join(f'`{name}`' for name in given)}: leave it out."
        )
    if out is None:
        raise ValueError(
            "`--engine ray` needs `--out`, the folder or URL for the results. Received: none."
        )
    console = Console()
    if settings.get("runtime") not in ("keras", "fastest") and settings.get("device") != "cuda":
        build_on_numpy()
    from cspdarknet.scale.job import BulkJob
    from cspdarknet.scale.ray import run_parts

    with interruptible(console, "Run the same command again to continue."):
        job = BulkJob(task, model, sources, out, **settings)
        with job.claimed():
            parts = job.start()
            with progress_bar(console, "parts", len(parts)) as advance:
                for _ in run_parts(job, parts):
                    advance(1)
        _report(console, job.out, *job.counts())


def _report(console: Console, out: str, images: int, errors: int) -> None:
    say(console, f"Results of {images} of {images + errors} images written to {out}/results.")
    if errors:
        say(console, f"Left out: {errors} images; {out}/errors says why.")
        raise Exit(1)
