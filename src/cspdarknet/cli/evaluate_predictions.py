"""`cspdarknet evaluate --predictions`: evaluation of detections that any tool wrote to a file."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from cspdarknet.cli.results import say
from cspdarknet.data import DetectionDataset, load_detection_split
from cspdarknet.data.read import read_dataset
from cspdarknet.data.summary import problem_counts
from cspdarknet.evaluate import DetectionEvaluation, evaluate_predictions
from cspdarknet.evaluate.prediction_files import read_coco_ids


def evaluate_file(
    predictions: Path,
    data: Path,
    console: Console,
    *,
    coco_annotations: Path | None,
    class_names: str | None,
    on_problem: str,
    format: str | None,
    unfit: Mapping[str, Any],
) -> DetectionEvaluation:
    """Evaluate the detections in a file on a dataset, and say what is left out.

    Args:
        predictions: the option `--predictions`.
        data: the argument DATA.
        console: the console for messages.
        coco_annotations: the option `--coco-annotations`; `None` for the COCO file in DATA.
        class_names: the option `--class-names`, such as `0=cat,1=dog`.
        on_problem: the option `--on-problem`.
        format: the option `--format`.
        unfit: options that are for models, with their values if they are given.

    Raises:
        ValueError: if an option does not fit, or the file does not fit the dataset.
    """
    if given := [name for name, value in unfit.items() if value]:
        raise ValueError(
            f"`--predictions` evaluates a file, not a model. Received: {', '.join(given)}: leave "
            "it out."
        )
    names = category_names(class_names)
    split = load_detection_split(data, None, on_problem, format)
    which = f"all images of {data}" if split.name == "all" else f"the {split.name} split of {data}"
    say(console, f"{len(split.dataset)} images: {which}")
    if split.problems:
        say(console, f"problems: {problem_counts(split.problems)}")
    annotations = coco_annotations or _annotation_file(data, format, split.dataset)
    with console.status(f"evaluating {predictions}"):
        evaluation = evaluate_predictions(
            predictions, split.dataset, coco_annotations=annotations, category_names=names
        )
    for note in evaluation.notes:
        say(console, note)
    return evaluation


def data_of_file(model: str, data: Path | None) -> Path:
    """Return DATA, which stands in the place of MODEL.

    Raises:
        ValueError: if both are given.
    """
    if data is not None:
        raise ValueError(
            "`--predictions` takes the place of MODEL. "
            f"Received: MODEL {model} and DATA {data}: give DATA alone."
        )
    return Path(model)


def category_names(text: str | None) -> dict[int, str] | None:
    """Return the names of categories of an option such as `0=cat,1=dog`.

    Raises:
        ValueError: if it is another text.
    """
    if text is None:
        return None
    pairs = [part.strip().partition("=") for part in text.split(",")]
    names = {int(i): name.strip() for i, _, name in pairs if i.strip().isdecimal() and name.strip()}
    if len(names) < len(pairs):
        raise ValueError(
            "`--class-names` with `--predictions` must have the ids of the categories, such as "
            f"0=cat,1=dog. Received: {text}"
        )
    return names


def _annotation_file(data: Path, format: str | None, dataset: DetectionDataset) -> Path | None:
    """Return the COCO file in a dataset that lists most of the images, if it has one."""
    annotations = read_dataset(data, "detection", format)
    if not annotations.format.startswith("COCO"):
        return None
    names = {path.name for path in dataset.paths}

    def number_of_images(path: Path) -> int:
        return len(names & {Path(name).name for name in read_coco_ids(path).images.values()})

    files = sorted(path for path in annotations.used if path.suffix.lower() == ".json")
    return max(files, key=number_of_images, default=None)
