"""The HTML page of a report: sections, tables and pictures."""

import html
import shlex
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from cspdarknet._files import OutputFolder
from cspdarknet._version import __version__

PAGE = "report.html"

TEMPLATE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
padding: 0 1rem }}
table {{ border-collapse: collapse }} td, th {{ padding: .2rem .8rem; border-bottom: 1px solid #ddd;
text-align: right }} td:first-child, th:first-child {{ text-align: left }} img {{ max-width: 100% }}
.facts td {{ text-align: left }} .origin {{ color: #666; font-size: 14px }}
summary {{ cursor: pointer }}
pre {{ background: #f4f4f4; padding: 1rem; overflow: auto; font-size: 13px }}
</style>
<h1>{title}</h1>
<p class="origin">{origin}</p>
{body}
</html>
"""


@dataclass(frozen=True)
class Picture:
    """A picture of a report.

    Attributes:
        file: name of the PNG file.
        title: heading above the picture.
        draw: function that writes the PNG to a binary file.
        caption: HTML between the heading and the picture.
    """

    file: str
    title: str
    draw: Callable[[BinaryIO], object]
    caption: str = ""


def write_page(folder: OutputFolder, title: str, sections: Iterable[str]) -> None:
    """Write an HTML page of sections, leaving out the empty ones."""
    body = "\n".join(section for section in sections if section)
    page = TEMPLATE.format(title=html.escape(title), origin=_origin(), body=body)
    folder.write_text(PAGE, page)


def _origin() -> str:
    """Return when the page is written, by which version, and by which command if it is one."""
    time = f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}"
    program = Path(sys.argv[0])
    if program.stem != "cspdarknet" and program.parent.name != "cspdarknet":
        return f"{time}, cspdarknet {__version__}"
    command = shlex.join(["cspdarknet", *sys.argv[1:]])
    return f"{time}, cspdarknet {__version__}: <code>{html.escape(command)}</code>"


def link(file: str) -> str:
    """Return a link to a file of the folder, with its name as the text."""
    return f"<a href='{file}'>{file}</a>"


def write_picture(folder: OutputFolder, picture: Picture) -> str:
    """Write the file of a picture; return its section of the page."""
    folder.write(picture.file, picture.draw)
    title = html.escape(picture.title, quote=True)
    return f"<h2>{title}</h2>{picture.caption}<img src='{picture.file}' alt='{title}'>"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return an HTML table, with every cell escaped; without a header, it is one of facts."""
    head = "".join(f"<th>{html.escape(cell)}" for cell in header)
    lines = ["".join(f"<td>{html.escape(str(cell))}" for cell in row) for row in rows]
    start = "<table>" if header else "<table class='facts'>"
    return f"{start}{''.join(f'<tr>{line}' for line in (head, *lines) if line)}</table>"


def format_metric(value: float | None) -> str:
    """Return a metric with three decimals, or a dash where it is undefined."""
    return "–" if value is None else f"{value:.3f}"
