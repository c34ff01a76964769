"""The report of a classifier's training or evaluation: figures, pictures, and a page of them."""

from collections.abc import Sequence
from typing import Any

from cspdarknet.data.classification.dataset import ClassificationSplits
from cspdarknet.evaluate import ClassificationEvaluation, evaluate
from cspdarknet.models import ImageClassifier
from cspdarknet.reports import page
from cspdarknet.reports.mistakes import draw_mistakes
from cspdarknet.reports.page import CONFUSION, CURVES, FIGURES, MISTAKES
from cspdarknet.reports.plots import draw_confusion, draw_curves
from cspdarknet.train.run_folder import RunFolder


def write_run_report(
    run: RunFolder,
    best: ImageClassifier,
    splits: ClassificationSplits,
    history: Sequence[dict[str, Any]],
    workers: int,
) -> ClassificationEvaluation:
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
    page.write_run_page(run, _evaluation_sections(run, found))
    return found


def write_evaluation(run: RunFolder, found: ClassificationEvaluation, title: str) -> None:
    """Write figures, pictures and a page about one evaluation."""
    page.write_page(run, title, [_evaluation_sections(run, found)])


def _evaluation_sections(run: RunFolder, found: ClassificationEvaluation) -> str:
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
    text += page.not_readable(found.errors.values())
    sheet = draw_mistakes(found)
    if sheet is not None:
        run.write(MISTAKES, lambda file: sheet.save(file, format="PNG"))
        text += f"<h2>The surest mistakes</h2><img src={MISTAKES} alt='photos taken for others'>"
    return text


def _table_of_classes(found: ClassificationEvaluation) -> str:
    rows = [
        (c.name, c.photos, *(f"{value:.3f}" for value in (c.precision, c.recall, c.f1)))
        for c in found.classes
    ]
    return page.table(("class", "photos", "precision", "recall", "F1"), rows)
