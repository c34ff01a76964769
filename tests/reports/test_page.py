"""The HTML page of a report."""

import re
import sys

import pytest

from cspdarknet import __version__
from cspdarknet._files import OutputFolder
from cspdarknet.reports.page import format_metric, table, write_page

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("program", "is_shown"),
    [("bin/cspdarknet", True), ("cspdarknet/__main__.py", True), ("pytest/__main__.py", False)],
)
def test_date_version_and_command_are_named(tmp_path, monkeypatch, program, is_shown):
    monkeypatch.setattr(sys, "argv", [f"/usr/{program}", "train", "my <images>"])
    write_page(OutputFolder(tmp_path), "Title", ["<p>a</p>", ""])
    page = (tmp_path / "report.html").read_text()
    assert re.search(rf"\d{{4}}-\d\d-\d\d \d\d:\d\d \S+, cspdarknet {__version__}", page)
    command = "<code>cspdarknet train &#x27;my &lt;images&gt;&#x27;</code>"
    assert (command in page) == is_shown
    assert ("<code>" in page) == is_shown


def test_tables_are_escaped():
    assert table(("a", "b"), [("<i>", 1)]) == "<table><tr><th>a<th>b<tr><td>&lt;i&gt;<td>1</table>"
    assert table((), [("<i>", 1)]) == "<table class='facts'><tr><td>&lt;i&gt;<td>1</table>"


def test_metrics_that_are_undefined_are_dashes():
    assert [format_metric(value) for value in (0.12345, 0.0, None)] == ["0.123", "0.000", "–"]
