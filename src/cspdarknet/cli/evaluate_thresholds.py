"""`cspdarknet evaluate --thresholds`: proposed score thresholds of a model."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from cspdarknet._image_size import ImageSize
from cspdarknet.cli.tables import plain_table, print_table
from cspdarknet.evaluate import DetectionEvaluation, MultiLabelEvaluation, score_threshold_of
from cspdarknet.evaluate.thresholds import MIN_BOXES, ClassThreshold, Criterion
from cspdarknet.presets.config import CONFIG, RUN_SETTINGS
from cspdarknet.presets.records import PRESETS
from cspdarknet.presets.save import save_score_threshold
from cspdarknet.reports.page import format_metric


def preset_to_change(
    model: str,
    which: str,
    thresholds: str | None,
    image_size: ImageSize | None,
    classes: str | None = None,
) -> Path:
    """Return the preset folder that `--save-thresholds` writes to.

    Args:
        model: the argument MODEL.
        which: the model of a run folder, `"best"` or `"last"`.
        thresholds: the option `--thresholds`.
        image_size: the option `--image-size`.
        classes: the option `--classes`.

    Raises:
        ValueError: if the options do not fit, or the model is in no folder.
    """
    if thresholds is None or image_size is not None or classes is not None:
        raise ValueError(
            "`--save-thresholds` needs `--thresholds`, such as `--thresholds count`, all classes "
            f"and the model's own image size. Received: {thresholds=}, {image_size=}, {classes=}"
        )
    return folder_to_change(model, which, "--save-thresholds")


def folder_to_change(model: str, which: str, option: str) -> Path:
    """Return the preset folder of a model, for an option that writes to it.

    Args:
        model: the argument MODEL.
        which: the model of a run folder, `"best"` or `"last"`.
        option: name of the option, for the message.

    Raises:
        ValueError: if the model is in no folder.
    """
    folder = Path(model)
    if model in PRESETS or not (folder / RUN_SETTINGS).is_file() | (folder / CONFIG).is_file():
        raise ValueError(
            f"`{option}` needs a preset folder or a run folder. Received: "
            f"{model}. Save the model as a preset first: `cspdarknet convert {model} FOLDER`."
        )
    return folder / which if (folder / RUN_SETTINGS).is_file() else folder


def show_thresholds(
    evaluation: DetectionEvaluation | MultiLabelEvaluation,
    criterion: str,
    preset: Path | None,
    console: Console,
) -> None:
    """Print the proposed score thresholds, and store them in a preset folder if one is given."""

    def say(text: str) -> None:
        console.print(text, markup=False, soft_wrap=True, highlight=False)

    is_multi_label = isinstance(evaluation, MultiLabelEvaluation)
    counted = ("images", "predicted") if is_multi_label else ("boxes", "detections")
    labeled = "label" if is_multi_label else "ground-truth box"
    proposals = evaluation.thresholds(criterion)
    if not proposals:
        say(f"No score threshold can be proposed: no {labeled} is detected.")
        return
    say(f"\nscore thresholds by {criterion}:")
    table = plain_table()
    table.add_column("class", overflow="fold")
    for title in ("threshold", *counted, "precision", "recall"):
        table.add_column(title, justify="right", no_wrap=True)
    for c in proposals:
        metrics = map(format_metric, (c.precision, c.recall))
        row = (f"{c.threshold:g}", str(c.boxes), str(c.detections), *metrics)
        table.add_row(escape(c.name), *row)
    print_table(console, table)
    say(
        "The classes share one threshold, unless one of its own pays for a class in a "
        f"cross-validation, which takes {MIN_BOXES} {counted[0]} or more. Own thresholds: "
        f"{', '.join(c.name for c in proposals if c.is_own) or 'none'}."
    )
    wanted, reached = Criterion.parse(criterion), _reached(proposals)
    if reached.get(wanted.name, 1.0) < wanted.value:
        say(
            f"No threshold reaches {criterion}: these are the nearest, with {wanted.name} "
            f"{format_metric(reached[wanted.name])} over all classes."
        )
    if preset is not None:
        save_score_threshold(preset, score_threshold_of(proposals))
        say(f"stored in {preset / CONFIG}: the model uses them by default")


def _reached(proposals: Sequence[ClassThreshold]) -> dict[str, float]:
    """Return precision and recall over all classes."""
    correct = sum(c.true_positives for c in proposals)
    return {
        "precision": correct / (sum(c.detections for c in proposals) or 1),
        "recall": correct / (sum(c.boxes for c in proposals) or 1),
    }
