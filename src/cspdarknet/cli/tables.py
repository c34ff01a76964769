"""Tables of the commands: without lines, and of which nothing is cut."""

from rich.console import Console
from rich.table import Table

UNLIMITED = 100_000  # columns of a pipe or a file
FOLDED = 24  # minimum width of columns that may be folded


def plain_table(*titles: str, header: bool = True) -> Table:
    """Return a table of columns that are never folded; more can be added.

    A column that may be folded has `overflow="fold"`, and any other `no_wrap=True`.
    """
    table = Table(
        box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_header=header
    )
    for title in titles:
        table.add_column(title, no_wrap=True)
    return table


def print_table(console: Console, table: Table) -> None:
    """Print a table, folded to the width of a terminal; in a pipe or a file each row is one line.

    A table that is wider than a terminal all the same keeps its width, since the terminal breaks
    lines without a loss.
    """
    whole = _width(console, table)
    if console.is_terminal:
        foldable = [column for column in table.columns if column.overflow == "fold"]
        for column in foldable:
            column.max_width = FOLDED
        narrow = _width(console, table)
        for column in foldable:
            column.max_width = None
        table.width = min(whole, max(narrow, console.width))
    else:
        table.width = whole
    console.print(table, crop=False, no_wrap=True, overflow="ignore", highlight=False)


def _width(console: Console, table: Table) -> int:
    return table.__rich_measure__(console, console.options.update_width(UNLIMITED)).maximum
