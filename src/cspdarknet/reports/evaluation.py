"""The report of an evaluation or a training, for all tasks: files, pictures and the page."""

import csv
import html
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from PIL import Image

from cspdarknet._files import OutputFolder
from cspdarknet.data.problems import Problem
from cspdarknet.presets.config import RUN_SETTINGS
from cspdarknet.reports.page import (
    Picture,
    format_metric,
    link,
    table,
    write_page,
    write_picture,
)
from cspdarknet.reports.plots import PANELS, draw_confusion, draw_curves

if TYPE_CHECKING:
    from cspdarknet.evaluate import (
        ClassificationEvaluation,
        DetectionEvaluation,
        MultiLabelEvaluation,
        RegressionEvaluation,
    )

    Evaluation: TypeAlias = (
        ClassificationEvaluation | DetectionEvaluation | MultiLabelEvaluation | RegressionEvaluation
    )

METRICS, PREDICTIONS = "evaluation.json", "predictions.csv"
CURVES, CONFUSION, MISTAKES = "curves.png", "confusion.png", "mistakes.png"
CURVES_CAPTION = "<p>A star marks the best epoch; dotted lines divide the phases.</p>"
# Columns of `metrics.csv` in texts; the others are called as they are.
METRIC_TITLES = {
    "val_loss": "val loss",
    "val_accuracy": "val accuracy",
    "val_kappa": "val kappa",
    "val_map": "mAP",
    "val_map50": "mAP50",
    "val_r2": "val R2",
}


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


def write_report(
    folder: OutputFolder,
    title: str,
    evaluation: "Evaluation",
    summary: str,
    pictures: Iterable[Picture],
    predictions: Sequence[Mapping[str, Any]],
    about_predictions: str,
    training: TrainingRecord | None = None,
) -> None:
    """Write metrics, pictures, predictions and the page of an evaluation.

    Args:
        folder: folder that the files are written to.
        title: title of the page.
        evaluation: the evaluation.
        summary: HTML of the most important metrics and the table of classes.
        pictures: pictures to show below the summary.
        predictions: what was predicted for each image, as rows of a table.
        about_predictions: what the columns of the predictions are, as HTML.
        training: the training that the evaluated model comes from; its curves, skipped files and
            settings are shown too.
    """
    folder.write_json(METRICS, evaluation.to_json())
    _write_csv(folder, PREDICTIONS, predictions)
    sections = [f"<h2>Evaluation</h2>{summary}"]
    sections += [write_picture(folder, picture) for picture in pictures]
    sections.append(f"<h2>Images</h2><p>{link(PREDICTIONS)}: {about_predictions}</p>")
    sections.append(_unreadable(evaluation.errors.values()))
    if training is not None:
        sections.insert(0, _training(folder, training))
        sections += [_skipped(training.skipped), _settings(training.settings)]
    write_page(folder, title, sections)


def confusion_picture(
    counts: np.ndarray, class_names: Sequence[str], caption: str, has_background: bool = False
) -> Picture:
    """Return the picture of a confusion matrix with the ground truth in its rows.

    Args:
        counts: the confusion matrix; with the background in its last row and column, if it is one
            of a detector.
        class_names: names of the classes, without the background.
        caption: HTML below the heading.
        has_background: whether the matrix has the background.
    """
    draw = partial(draw_confusion, counts, class_names, has_background)
    return Picture(CONFUSION, "Confusion matrix", draw, caption)


def mistakes_pictures(title: str, sheet: Image.Image | None, caption: str = "") -> list[Picture]:
    """Return the picture of a contact sheet of mistakes; none if there are no mistakes."""
    if sheet is None:
        return []
    return [Picture(MISTAKES, title, partial(sheet.save, format="PNG"), caption)]


def _write_csv(folder: OutputFolder, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
    file = io.StringIO()
    writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    folder.write_text(name, file.getvalue())


def _training(folder: OutputFolder, training: TrainingRecord) -> str:
    """Return what the training was, with its curves; a single epoch has a table in their place."""
    history, settings = training.history, training.settings
    best = max(history, key=lambda row: (row["best"], row["epoch"]))
    images = [str(split["images"]) for split in settings.get("splits", {}).values()]
    facts = {
        "start": settings.get("model"),
        "data": settings.get("data"),
        "images": " for training, ".join(images) + " for validation" if images else None,
        "epochs": len(history),
        "best epoch": best["epoch"],
        "image size": f"{best['image_size']} pixels",
        "batch size": settings.get("recipe", {}).get("batch_size"),
        "backend": settings.get("backend"),
    }
    known = [(name, value) for name, value in facts.items() if value is not None]
    section = f"<h2>Training</h2>{table((), known)}"
    if len(history) > 1:
        draw = partial(draw_curves, history)
        return section + write_picture(folder, Picture(CURVES, "Curves", draw, CURVES_CAPTION))
    names = [name for curves in PANELS.values() for name in curves.values() if name in best]
    values = [format_metric(best[name]) for name in names[:-1]]  # without the learning rate
    titles = [METRIC_TITLES.get(name, name.replace("_", " ")) for name in names[:-1]]
    return f"{section}<h2>The epoch</h2>{table(titles, [values])}"


def _unreadable(reasons: Iterable[str]) -> str:
    items = "".join(f"<li>{html.escape(reason)}" for reason in reasons)
    return f"<h2>Unreadable images</h2><ul>{items}</ul>" if items else ""


def _skipped(skipped: Sequence[Problem]) -> str:
    rows = [(item.path, item.reason) for item in skipped]
    return f"<h2>Skipped files</h2>{table(('file', 'reason'), rows)}" if rows else ""


def _settings(settings: Mapping[str, Any]) -> str:
    text = html.escape(json.dumps(settings, indent=2))
    summary = f"All settings, as in {link(RUN_SETTINGS)}"
    return f"<h2>Settings</h2><details><summary>{summary}</summary><pre>{text}</pre></details>"
