"""The report of an evaluation or a training: metrics as JSON, pictures, and an HTML page."""

import html
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from PIL import Image

from cspdarknet._files import OutputFolder
from cspdarknet.data.problems import Problem
from cspdarknet.reports.plots import draw_confusion, draw_curves

if TYPE_CHECKING:  # Keras, which the report of a dataset does not need
    from cspdarknet.evaluate import ClassificationEvaluation, DetectionEvaluation

METRICS, PAGE = "evaluation.json", "report.html"
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


@dataclass(frozen=True)
class TrainingRecord:
    """What a report shows of a training, as plain data.

    Attributes:
        history: metrics of each epoch: the rows of `metrics.csv`.
        settings: settings of the run: the content of `run.json`.
        skipped: image files that were left out.
    """

    history: Sequence[Mapping[str, Any]]
    settings: Mapping[str, Any]
    skipped: Sequence[Problem] = ()


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


def write_report(
    folder: OutputFolder,
    title: str,
    evaluation: "ClassificationEvaluation | DetectionEvaluation",
    summary: str,
    pictures: Iterable[Picture],
    training: TrainingRecord | None = None,
) -> None:
    """Write metrics, pictures and the page of an evaluation.

    Args:
        folder: folder that the files are written to.
        title: title of the page.
        evaluation: the evaluation.
        summary: HTML of the most important metrics and the table of classes.
        pictures: pictures to show below the summary.
        training: the training that the evaluated model comes from; its curves, skipped files and
            settings are shown too.
    """
    folder.write_json(METRICS, evaluation.to_json())
    sections = [f"<h2>Evaluation</h2>{summary}"]
    sections += [write_picture(folder, picture) for picture in pictures]
    sections.append(_unreadable(evaluation.errors.values()))
    if training is not None:
        curves = Picture(CURVES, "Curves", partial(draw_curves, training.history))
        sections.insert(0, write_picture(folder, curves))
        sections += [_skipped(training.skipped), _settings(training.settings)]
    write_page(folder, title, sections)


def write_page(folder: OutputFolder, title: str, sections: Iterable[str]) -> None:
    """Write an HTML page of sections, leaving out the empty ones."""
    body = "\n".join(section for section in sections if section)
    folder.write_text(PAGE, TEMPLATE.format(title=html.escape(title), body=body))


def confusion_picture(counts: np.ndarray, class_names: Sequence[str]) -> Picture:
    """Return the picture of a confusion matrix with the ground truth in its rows."""
    draw = partial(draw_confusion, counts, class_names)
    return Picture(CONFUSION, "Confusion matrix", draw)


def mistakes_pictures(title: str, sheet: Image.Image | None, caption: str = "") -> list[Picture]:
    """Return the picture of a contact sheet of mistakes; none if there are no mistakes."""
    if sheet is None:
        return []
    return [Picture(MISTAKES, title, partial(sheet.save, format="PNG"), caption)]


def write_picture(folder: OutputFolder, picture: Picture) -> str:
    """Write the file of a picture; return its section of the page."""
    folder.write(picture.file, picture.draw)
    title = html.escape(picture.title, quote=True)
    return f"<h2>{title}</h2>{picture.caption}<img src='{picture.file}' alt='{title}'>"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return an HTML table, with every cell escaped."""
    head = "".join(f"<th>{html.escape(cell)}" for cell in header)
    lines = ("".join(f"<td>{html.escape(str(cell))}" for cell in row) for row in rows)
    return f"<table><tr>{head}{''.join(f'<tr>{line}' for line in lines)}</table>"


def format_metric(value: float | None) -> str:
    """Return a metric with three decimals, or a dash where it is undefined (`None` or NaN)."""
    return "–" if value is None or math.isnan(value) else f"{value:.3f}"


def _unreadable(reasons: Iterable[str]) -> str:
    items = "".join(f"<li>{html.escape(reason)}" for reason in reasons)
    return f"<h2>Unreadable images</h2><ul>{items}</ul>" if items else ""


def _skipped(skipped: Sequence[Problem]) -> str:
    rows = [(item.path, item.reason) for item in skipped]
    return f"<h2>Skipped files</h2>{table(('file', 'reason'), rows)}" if rows else ""


def _settings(settings: Mapping[str, Any]) -> str:
    return f"<h2>Settings</h2><pre>{html.escape(json.dumps(settings, indent=2))}</pre>"
