"""Tables in pipes and terminals."""

import io

import pytest
from rich.console import Console

from cspdarknet.cli.tables import plain_table, print_table

pytestmark = pytest.mark.one_backend

NAME, FILE = "csp_darknet_tiny_clothing", "folder/" + 12 * "long_" + "name.jpg"


def lines(width, terminal):
    table = plain_table("name")
    table.add_column("file", overflow="fold")
    table.add_column("boxes", justify="right", no_wrap=True)
    table.add_row(NAME, FILE, "123")
    console = Console(file=io.StringIO(), width=width, force_terminal=terminal, color_system=None)
    print_table(console, table)
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize("width", [20, 80])
def test_a_row_is_one_line_in_a_pipe(width):
    _, row = lines(width, terminal=False)
    assert row.split() == [NAME, FILE, "123"]


@pytest.mark.parametrize(("width", "used"), [(20, 58), (40, 58), (80, 80), (200, 109)])
def test_long_columns_are_folded_in_a_terminal_and_nothing_is_cut(width, used):
    _, *rows = lines(width, terminal=True)
    assert max(map(len, rows)) == used
    assert rows[0].split()[::2] == [NAME, "123"]
    pieces = [rows[0].split()[1], *(row.strip() for row in rows[1:])]
    assert "".join(pieces) == FILE
