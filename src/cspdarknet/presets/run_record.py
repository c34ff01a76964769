"""What the files of a run folder tell of its training, for a model card."""

import csv
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cspdarknet.presets.config import RUN_SETTINGS
from cspdarknet.presets.records import PRESETS

EVALUATION, EPOCHS = "evaluation.json", "metrics.csv"
# Pictures that a training draws from numbers. Its other pictures show images of the dataset.
PICTURES = {
    "curves.png": "Learning curves",
    "precision_recall.png": "Precision over recall at IoU 0.5",
    "confusion.png": "Confusion matrix",
    "average_precision.png": "Average precision of each class",
    "predicted.png": "Predicted over true numbers",
    "residuals.png": "Errors",
}
HUB_DATASET = re.compile(r"hf:/+datasets/([\w.-]+/[\w.-]+?)(?:@[\w./-]+)?/?")


@dataclass(frozen=True)
class RunRecord:
    """The training of a model; every part of it may be missing.

    Attributes:
        settings: content of `run.json`.
        evaluation: content of `evaluation.json`: metrics of the best model.
        epochs: rows of `metrics.csv`.
        pictures: names of the pictures without images of the dataset, and their titles.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    evaluation: Mapping[str, Any] = field(default_factory=dict)
    epochs: tuple[Mapping[str, str], ...] = ()
    pictures: Mapping[str, str] = field(default_factory=dict)

    @property
    def dataset(self) -> str | None:
        """Name of the dataset, without the folders that it is in."""
        data = self.settings.get("data")
        if data is None:
            return None
        return self.hub_dataset or printable(Path(str(data)).name).strip() or None

    @property
    def hub_dataset(self) -> str | None:
        """Name of the dataset at Hugging Face, if it is from there."""
        match = HUB_DATASET.fullmatch(str(self.settings.get("data", "")))
        return match and match[1]

    @property
    def initial_weights(self) -> str:
        """Name of the model that the training started from; no path of this machine."""
        model = str(self.settings.get("model", ""))
        if self.settings.get("load_weights") is False:
            return "random"
        is_public = model in PRESETS or model.startswith(("hf://", "kaggle://"))
        return model if is_public else "of another model"

    @property
    def hours(self) -> float:
        """Duration of the training."""
        return sum(float(row.get("seconds") or 0) for row in self.epochs) / 3600


def read_run(folder: Path) -> RunRecord:
    """Read the record of a training; an empty one, but for pictures, if there is none.

    Args:
        folder: the run folder.

    Raises:
        ValueError: if a file is damaged.
    """
    pictures = {name: title for name, title in PICTURES.items() if (folder / name).is_file()}
    settings, evaluation = read_json(folder / RUN_SETTINGS), read_json(folder / EVALUATION)
    return RunRecord(settings, evaluation, _rows(folder / EPOCHS), pictures)


def read_json(file: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds; an empty one if there is no file.

    Raises:
        ValueError: if the file is damaged.
    """
    if not file.is_file():
        return {}
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{file} is not a JSON file: {error}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{file} must hold a JSON object. Received: a {type(content).__name__}")
    return content


def _rows(file: Path) -> tuple[Mapping[str, str], ...]:
    if not file.is_file():
        return ()
    with file.open(newline="", encoding="utf-8") as lines:
        return tuple(csv.DictReader(lines))


def printable(text: str) -> str:
    """Return a text on one line, without characters that are not to be printed."""
    return "".join(character if character.isprintable() else " " for character in text)
