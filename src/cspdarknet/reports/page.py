"""The page that a report is, and the parts that reports share."""

import html
import json
from collections.abc import Iterable, Sequence

from cspdarknet.train.run_folder import SETTINGS, RunFolder

FIGURES, PAGE = "evaluation.json", "report.html"
CURVES, CONFUSION, MISTAKES = "curves.png", "confusion.png", "mistakes.png"

TEMPLATE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
padding: 0 1rem }}
table {{ border-collapse: collapse }} td, th {{ padding: .2rem .8rem; border-bottom: 1px solid #ddd;
text-align: right }} td:first-child, th:first-child {{ text-align: left }} img {{ max-width: 100% }}
pre {{ background: #f4f4f4; padding: 1rem; overflow: auto; font-size: 13px }}
</style>
<h1>{title}</h1>
{body}
</html>
"""


def write_page(run: RunFolder, title: str, sections: Sequence[str]) -> None:
    """Write the page of a report, made of pieces of HTML."""
    run.write_text(PAGE, TEMPLATE.format(title=html.escape(title), body="\n".join(sections)))


def write_run_page(run: RunFolder, evaluation: str) -> None:
    """Write the page about a training: curves, evaluation, files left out, and settings."""
    settings = html.escape(json.dumps(run.read_json(SETTINGS), indent=2))
    sections = [
        f"<h2>Curves</h2><img src={CURVES} alt='figures by epoch'>",
        evaluation,
        _skipped(run),
        f"<h2>Settings</h2><pre>{settings}</pre>",
    ]
    write_page(run, f"Training in {run.path.name}", sections)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table, with every cell escaped."""
    head = "".join(f"<th>{html.escape(cell)}" for cell in header)
    lines = ("".join(f"<td>{html.escape(str(cell))}" for cell in row) for row in rows)
    return f"<table><tr>{head}{''.join(f'<tr>{line}' for line in lines)}</table>"


def not_readable(reasons: Iterable[str]) -> str:
    """Return a list of the photos that could not be read, or nothing if there are none."""
    items = "".join(f"<li>{html.escape(reason)}" for reason in reasons)
    return f"<h2>Not readable</h2><ul>{items}</ul>" if items else ""


def figure(value: float | None) -> str:
    """Return a share with three digits, or a dash where there was nothing to count."""
    return "–" if value is None else f"{value:.3f}"


def _skipped(run: RunFolder) -> str:
    skipped = run.read_skipped() or []
    if not skipped:
        return ""
    rows = [(item.path, item.reason) for item in skipped]
    return f"<h2>Files left out</h2>{table(('file', 'reason'), rows)}"
