"""The report of a training: pictures, figures, and one page that shows them."""

import html
import json
from collections.abc import Sequence
from typing import Any

from cspdarknet.data.labelled import Splits
from cspdarknet.evaluate import Evaluation, evaluate
from cspdarknet.models import ImageClassifier
from cspdarknet.reports.mistakes import draw_mistakes
from cspdarknet.reports.plots import draw_confusion, draw_curves
from cspdarknet.run_folder import SETTINGS, RunFolder

CURVES, CONFUSION, MISTAKES = "curves.png", "confusion.png", "mistakes.png"
FIGURES, PAGE = "evaluation.json", "report.html"

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


def write_run_report(
    run: RunFolder,
    best: ImageClassifier,
    splits: Splits,
    history: Sequence[dict[str, Any]],
    workers: int,
) -> Evaluation:
    """Evaluate the best model of a run, and write figures, pictures and the page.

    Args:
        run: the run folder.
        best: its best model.
        splits: the photos.
        history: the figures of each epoch.
        workers: number of threads that read photos.

    Returns:
        The evaluation on the validation photos.
    """
    found = evaluate(best, splits.validation, workers=workers)
    run.write(CURVES, lambda file: draw_curves(history, file))
    sections = [
        f"<h2>Curves</h2><img src={CURVES} alt='loss, accuracy and learning rate by epoch'>",
        _evaluation_sections(run, found),
        _table_of_skipped(run),
        f"<h2>Settings</h2><pre>{html.escape(json.dumps(run.read_json(SETTINGS), indent=2))}</pre>",
    ]
    run.write_text(PAGE, _page(f"Training in {run.path.name}", sections))
    return found


def write_evaluation(run: RunFolder, found: Evaluation, title: str) -> None:
    """Write figures, pictures and a page about one evaluation."""
    run.write_text(PAGE, _page(title, [_evaluation_sections(run, found)]))


def _page(title: str, sections: Sequence[str]) -> str:
    return TEMPLATE.format(title=html.escape(title), body="\n".join(sections))


def _evaluation_sections(run: RunFolder, found: Evaluation) -> str:
    run.write_json(FIGURES, found.to_json())
    run.write(
        CONFUSION, lambda file: draw_confusion(found.confusion, found.photos.class_names, file)
    )
    low, high = found.interval
    text = (
        f"<h2>Evaluation</h2><p>Accuracy <b>{found.accuracy:.2%}</b> of {len(found.photos)} photos "
        f"(95 % interval {low:.2%} to {high:.2%}); the true class is among the five likeliest for "
        f"{found.top(5):.2%}.</p>{_table_of_classes(found)}"
        f"<img src={CONFUSION} alt='confusion matrix'>"
    )
    if found.errors:
        items = "".join(f"<li>{html.escape(reason)}" for reason in found.errors.values())
        text += f"<h2>Not readable</h2><ul>{items}</ul>"
    sheet = draw_mistakes(found)
    if sheet is not None:
        run.write(MISTAKES, lambda file: sheet.save(file, format="PNG"))
        text += f"<h2>The surest mistakes</h2><img src={MISTAKES} alt='photos taken for others'>"
    return text


def _table_of_classes(found: Evaluation) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(c.name)}<td>{c.photos}<td>{c.precision:.3f}<td>{c.recall:.3f}"
        f"<td>{c.f1:.3f}"
        for c in found.classes
    )
    return f"<table><tr><th>class<th>photos<th>precision<th>recall<th>F1{rows}</table>"


def _table_of_skipped(run: RunFolder) -> str:
    skipped = run.read_skipped() or []
    if not skipped:
        return ""
    rows = "".join(
        f"<tr><td>{html.escape(str(item.path))}<td>{html.escape(item.reason)}" for item in skipped
    )
    return f"<h2>Files left out</h2><table><tr><th>file<th>reason{rows}</table>"
