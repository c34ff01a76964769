"""The result of `cspdarknet data check` as text."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cspdarknet._image_size import to_text
from cspdarknet.cli.tables import plain_table, print_table
from cspdarknet.data import DatasetCheck, Problem
from cspdarknet.data.doctor.summary import TINY_SIDES, SplitSummary
from cspdarknet.data.problems import KINDS, by_kind, count_of
from cspdarknet.images import RGB

SHOWN_CLASSES = 40
SHOWN_PROBLEMS = 3


def print_check(check: DatasetCheck, console: Console) -> None:
    """Print the result of a check: tables of splits and classes, problems, notes, the verdict."""
    _line(console, str(check.source), style="bold")
    _line(console, check.format)
    size = f", image size {to_text(check.image_size)}" if check.task == "detection" else ""
    is_regression = check.task == "regression"
    names = ("target",) if is_regression else ("class", "classes")
    classes = count_of(len(check.class_names), *names)
    channels = "" if check.channels == RGB else f", {count_of(check.channels, 'channel')}"
    _line(console, f"{check.task}, {classes}{size}{channels}\n")
    if check.splits:
        print_table(console, _split_table(check))
        console.print()
        print_table(console, _target_table(check) if is_regression else _class_table(check))
        console.print()
        if len(check.class_names) > SHOWN_CLASSES:
            more = len(check.class_names) - SHOWN_CLASSES
            _line(console, f"and {count_of(more, 'more class', 'more classes')}: see --json\n")
    for kind, problems in by_kind(check.problems).items():
        _print_problems(console, kind, problems)
    for note in check.notes:
        _line(console, f"- {note}")
    if check.notes:
        console.print()
    _print_verdict(check, console)


def _line(console: Console, text: str, style: str | None = None) -> None:
    """Print a line that is neither cut nor colored by its content."""
    console.print(text, style=style, soft_wrap=True, markup=False, highlight=False)


def _split_table(check: DatasetCheck) -> Table:
    table = _table("split", "images")
    is_detection = check.task == "detection"
    if is_detection:
        for column in ("without boxes", "boxes"):
            table.add_column(column, justify="right", no_wrap=True)
    for split, summary in check.splits.items():
        cells = [split, f"{summary.images:,}"]
        if is_detection:
            cells += [f"{summary.empty_images:,}", f"{summary.boxes:,}"]
        table.add_row(*cells)
    return table


def _class_table(check: DatasetCheck) -> Table:
    """Return the table of images, or images and boxes, of each class in each split."""
    table = _table("class")
    summaries = list(check.splits.values())
    for split, summary in check.splits.items():
        table.add_column(f"{split}\nimages", justify="right", no_wrap=True)
        if summary.tiny_boxes is not None:
            table.add_column(f"{split}\nboxes", justify="right", no_wrap=True)
    if check.task == "detection":
        for side in TINY_SIDES:
            table.add_column(f"boxes\n< {side} px", justify="right", no_wrap=True)
    for i, name in enumerate(check.class_names[:SHOWN_CLASSES]):
        table.add_row(escape(name), *_class_cells(summaries, i))
    return table


def _target_table(check: DatasetCheck) -> Table:
    """Return the table of the range of each target in each split."""
    table = _table("target", "split", "minimum", "median", "maximum", "std")
    for name in check.class_names[:SHOWN_CLASSES]:
        for split, summary in check.splits.items():
            target = (summary.targets or {})[name]
            numbers = (target.minimum, target.median, target.maximum, target.std)
            table.add_row(escape(name), split, *(f"{number:.4g}" for number in numbers))
    return table


def _class_cells(summaries: Sequence[SplitSummary], i: int) -> list[str]:
    counts = []
    for summary in summaries:
        counts.append(summary.class_images[i])
        if summary.tiny_boxes is not None:
            counts.append(summary.class_boxes[i])
    rows = [summary.tiny_boxes for summary in summaries if summary.tiny_boxes is not None]
    if rows:
        counts += [sum(row[side][i] for row in rows) for side in TINY_SIDES]
    return [f"{count:,}" for count in counts]


def _table(first: str, *others: str) -> Table:
    """Return a table whose first column is wrapped and whose numbers are never cut."""
    table = plain_table()
    table.add_column(first, overflow="fold")
    for column in others:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _print_problems(console: Console, kind: str, problems: Sequence[Problem]) -> None:
    about = KINDS[kind]
    title = f"{len(problems):,} x {kind}: {about.title}; {about.action}"
    _line(console, title, style="bold red" if about.stops else "bold")
    for problem in problems[:SHOWN_PROBLEMS]:
        _line(console, f"  {problem}")
    if len(problems) > SHOWN_PROBLEMS:
        _line(console, f"  and {len(problems) - SHOWN_PROBLEMS:,} more")
    console.print()


def _print_verdict(check: DatasetCheck, console: Console) -> None:
    stopping = [problem for problem in check.problems if problem.stops]
    if stopping:
        files = len({problem.path for problem in stopping})
        text = (
            f"A training would stop: {count_of(len(stopping), 'problem')} in "
            f"{count_of(files, 'file')}. Correct them, or train with `--on-problem fix`."
        )
        _line(console, text, style="bold red")
    if check.error:
        also = "Also with `--on-problem fix`" if stopping else "A training would stop"
        _line(console, f"{also}: {check.error}", style="bold red")
    if not check.stops:
        _line(console, "A training would start.", style="bold green")
