"""Progress bars and messages of the commands."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from cspdarknet.cli.options import INTERRUPTED


@contextmanager
def progress_bar(
    console: Console, label: str, total: int | None
) -> Iterator[Callable[[int], None]]:
    """Show a progress bar; yield the function that advances it by a number of items.

    In a pipe or a file nothing is shown.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    ) as progress:
        task = progress.add_task(escape(label), total=total)

        def advance(count: int) -> None:
            progress.advance(task, count)

        yield advance


@contextmanager
def interruptible(console: Console, advice: str = "") -> Iterator[None]:
    """End the command on Ctrl-C with one line in place of a traceback."""
    try:
        yield
    except KeyboardInterrupt:
        console.print(f"Interrupted. {advice}".strip())
        raise typer.Exit(INTERRUPTED) from None


def count_states(
    console: Console, title: str, results: Iterable[Any], total: int
) -> tuple[Counter[str], list[str]]:
    """Show the progress of files that are worked on one by one and may be continued.

    Args:
        console: where the progress is shown.
        title: title of the progress bar.
        results: results with a `state` and, if that is `"failed"`, a `message`.
        total: number of the files.

    Returns:
        The number of files in each state, and the messages.
    """
    states: Counter[str] = Counter()
    failures = []
    with (
        interruptible(console, "Run the same command again to continue."),
        progress_bar(console, title, total) as advance,
    ):
        for result in results:
            states[result.state] += 1
            failures += [result.message] * (result.state == "failed")
            advance(1)
    return states, failures


def report_failures(console: Console, failures: Sequence[str]) -> None:
    """List the files that were left out, and exit with status 1 if there are any."""
    for reason in failures:
        console.print(f"[bold red]left out:[/] {escape(reason)}", soft_wrap=True, highlight=False)
    if failures:
        raise typer.Exit(1)
