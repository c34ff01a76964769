"""Summary of a dataset in a few lines, as printed before a training."""

from typing import Any

from cspdarknet.data.dataset import DatasetSplits
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.data.problems import KINDS, by_kind, count_of
from cspdarknet.data.regression.dataset import RegressionDataset

SHOWN_CLASSES = 8


def summary(splits: DatasetSplits[Any]) -> list[str]:
    r"""Return what a dataset is understood as: format, splits, classes, and problems by kind.

    Args:
        splits: the splits of a dataset.

    Example:
        >>> for name in ("cat/1", "cat/2", "dog/1", "dog/2"):
        ...     path = Path(f"pets/{name}.png")
        ...     path.parent.mkdir(parents=True, exist_ok=True)
        ...     Image.new("RGB", (8, 8)).save(path)
        >>> print(*summary(cspdarknet.data.load_classification_dataset("pets", 0.5)), sep="\n")
        data: class folders: 2 folders of images, named after classes
        images: 2 for training, 2 for validation; 2 classes: cat, dog
    """
    datasets = {"training": splits.train, "validation": splits.validation, "test": splits.test}
    images = ", ".join(
        f"{len(data):,}{_without_boxes(data)} for {name}" for name, data in datasets.items() if data
    )
    if isinstance(splits.train, RegressionDataset):
        return _lines(splits, images, _targets(splits.train))
    names = list(splits.class_names)
    shown = ", ".join(names[:SHOWN_CLASSES]) + (", ..." if len(names) > SHOWN_CLASSES else "")
    if isinstance(splits.train, DetectionDataset):
        boxes = count_of(int(splits.train.counts.sum()), "box", "boxes")
        images = images.replace(" for training", f" with {boxes} for training")
    return _lines(splits, images, f"{count_of(len(names), 'class', 'classes')}: {shown}")


def _lines(splits: DatasetSplits[Any], images: str, what: str) -> list[str]:
    lines = [f"data: {splits.format}", f"images: {images}; {what}"]
    if splits.problems:
        lines.append(f"problems: {problem_counts(splits.problems)}")
    return lines


def _targets(train: RegressionDataset) -> str:
    """Return the names of the targets and their ranges."""
    numbers = zip(train.target_names, train.targets.T, strict=True)
    ranges = [f"{name} ({x.min():.4g} to {x.max():.4g})" for name, x in numbers]
    more = ", ..." if len(ranges) > SHOWN_CLASSES else ""
    shown = ", ".join(ranges[:SHOWN_CLASSES])
    return f"{count_of(len(ranges), 'target')}: {shown}{more}"


def _without_boxes(data: Any) -> str:
    """Return a warning of a split that no one seems to have annotated."""
    is_empty = isinstance(data, DetectionDataset) and not any(map(len, data.labels))
    return " without boxes" if is_empty else ""


def problem_counts(problems: Any) -> str:
    """Return how many problems there are of each kind, and what was done about them."""
    return "; ".join(
        f"{KINDS[kind].title}: {len(group):,} ({KINDS[kind].action})"
        for kind, group in by_kind(problems).items()
    )
