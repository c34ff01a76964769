"""`check_dataset`: everything about a dataset that should be known before a training."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from cspdarknet._arguments import check_count
from cspdarknet._image_size import ImageSize, check_image_size, to_json
from cspdarknet._labels import SINGLE, check_labels
from cspdarknet.data.annotations import Annotations
from cspdarknet.data.classification.dataset import ClassificationDataset
from cspdarknet.data.detection.checks import SizeOf
from cspdarknet.data.doctor.cache import FactsCache, collect_facts
from cspdarknet.data.doctor.duplicates import DatasetImage, DuplicateGroup, find_duplicates
from cspdarknet.data.doctor.facts import ImageFacts
from cspdarknet.data.doctor.images import damaged_images, duplicate_images, extreme_images
from cspdarknet.data.doctor.load import InspectedDataset, image_paths, load_annotated
from cspdarknet.data.doctor.notes import notes_about
from cspdarknet.data.doctor.summary import SplitSummary, image_sizes, summarize
from cspdarknet.data.problems import KINDS, Problem, by_kind
from cspdarknet.data.read import read_dataset
from cspdarknet.data.sources import is_source, source_path
from cspdarknet.images import RGB
from cspdarknet.images import image_size as read_image_size

IMAGE_SIZE = 416  # of the bundled detectors
# Called with what is done next and the number of its steps; returns the function that counts them.
Progress = Callable[[str, int], Callable[[int], None]]


@dataclass(frozen=True)
class DatasetCheck:
    """The result of `check_dataset`.

    Attributes:
        source: the dataset.
        format: name of the format, and why it was recognized.
        task: `"classification"`, `"detection"` or `"regression"`.
        class_names: names of the classes, in the order of the class ids; or of the targets.
        image_size: side of the square that images are letterboxed to, or height and width.
        splits: numbers of images and boxes of the splits `"train"`, `"validation"` and `"test"`,
            as far as the dataset has them.
        problems: what is wrong in the files and images, in the order of their kinds.
        duplicates: the groups of images that are the same or almost the same.
        notes: sentences about the classes, boxes and splits.
        error: why the images cannot be trained on, even if problems are fixed; empty if they can.
        channels: number of channels that the images must have.
    """

    source: str
    format: str
    task: str
    class_names: tuple[str, ...]
    image_size: ImageSize
    splits: Mapping[str, SplitSummary]
    problems: tuple[Problem, ...]
    duplicates: tuple[DuplicateGroup, ...]
    notes: tuple[str, ...]
    error: str = ""
    channels: int = RGB

    @property
    def stops(self) -> bool:
        """Whether a training would stop, unless it is told to fix problems."""
        return bool(self.error) or any(problem.stops for problem in self.problems)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON types."""
        return {
            "source": self.source,
            "format": self.format,
            "task": self.task,
            "stops": self.stops,
            "error": self.error,
            "class_names": list(self.class_names),
            "image_size": to_json(self.image_size),
            "channels": self.channels,
            "splits": {split: summary.to_json() for split, summary in self.splits.items()},
            "problems": {
                kind: _problems_to_json(kind, problems)
                for kind, problems in by_kind(self.problems).items()
            },
            "duplicates": [_group_to_json(group) for group in self.duplicates],
            "notes": list(self.notes),
        }


def check_dataset(
    source: Any,
    task: str | None = None,
    format: str | None = None,
    image_size: ImageSize = IMAGE_SIZE,
    cache: str | Path | None = None,
    workers: int = 2,
    progress: Progress | None = None,
    channels: int = RGB,
    labels: str = SINGLE,
) -> DatasetCheck:
    """Check a dataset: its files, annotations and images. Each image is decoded once.

    Args:
        source: the folder or annotation file, or any other source of `read_dataset`.
        task: `"classification"`, `"detection"` or `"regression"`, which the dataset must be for;
            `None` for any.
        format: name of the format; `None` to recognize it.
        image_size: side in pixels of the square that images are letterboxed to, or height and
            width, which decides how small boxes are.
        cache: folder for a file with sizes and checksums of the images, so that the next check
            decodes only what has changed; `None` to keep nothing. Only folders and annotation
            files have one.
        workers: number of threads.
        progress: shows the progress: called with a label and a number of images, it returns the
            function that is called with a number of finished ones.
        channels: number of channels that the images must have, as of a training.
        labels: the kind of labels of a dataset for classification: `"single"`, `"multi"` or
            `"ordinal"`.

    Returns:
        `DatasetCheck`.

    Raises:
        ValueError: if the dataset cannot be read at all, or an argument is out of range.

    Example:
        >>> for name in ("cat", "dog"):
        ...     Path("pets", name).mkdir(parents=True)
        ...     for i in range(3):
        ...         Image.linear_gradient("L").rotate(40 * i).save(f"pets/{name}/{i}.png")
        >>> check = check_dataset("pets")
        >>> check.splits["train"].class_images, check.stops
        ((3, 3), False)
        >>> print(check.problems[0].kind, "|", check.problems[0])
        conflicting label | pets/cat/0.png: of cat, has the same bytes as pets/dog/0.png (dog)
    """
    image_size = check_image_size(image_size)
    check_count("channels", channels)
    reading = cache, workers, progress, channels
    annotations, facts = _read(source, task, format, check_labels(labels), *reading)
    size_of = partial(known_size, facts)
    damaged = [path for path, item in facts.items() if item.error]
    loaded = load_annotated(source_path(source), annotations, size_of, damaged, labels)
    groups = find_duplicates(dataset_images(loaded), facts)
    summaries = {
        split: summarize(dataset, image_sizes(dataset, size_of), image_size)
        for split, dataset in loaded.splits.items()
    }
    problems = [*loaded.problems, *_image_problems(loaded, facts), *duplicate_images(groups)]
    class_names = () if loaded.task == "regression" else loaded.class_names
    return DatasetCheck(
        loaded.source,
        loaded.format,
        loaded.task,
        loaded.class_names,
        image_size,
        summaries,
        tuple(problem for same in by_kind(problems).values() for problem in same),
        tuple(groups),
        tuple(notes_about(class_names, summaries, image_size, groups)),
        loaded.error,
        channels,
    )


def inspect_dataset(
    source: Any,
    task: str | None = None,
    format: str | None = None,
    cache: str | Path | None = None,
    workers: int = 2,
    progress: Progress | None = None,
    labels: str = SINGLE,
) -> tuple[InspectedDataset, SizeOf]:
    """Read a dataset and the sizes of its images, without decoding them.

    Args:
        source: as for `check_dataset`, and so are the others.
        task: `"classification"` or `"detection"`; `None` for either.
        format: name of the format; `None` to recognize it.
        cache: folder of earlier checks, where sizes may be known from.
        workers: number of threads.
        progress: shows the progress.
        labels: the kind of labels.

    Returns:
        The dataset, and a function that returns width and height of an image file.

    Raises:
        ValueError: if the dataset cannot be read at all.
    """
    reading = cache, workers, progress, None
    annotations, facts = _read(source, task, format, check_labels(labels), *reading)
    size_of = partial(known_size, facts)
    unreadable = [path for path, item in facts.items() if item.error]
    loaded = load_annotated(source_path(source), annotations, size_of, unreadable, labels)
    named = {problem.path for problem in loaded.problems}
    found = damaged_images({path: facts[path] for path in unreadable if path not in named})
    return replace(loaded, problems=(*loaded.problems, *found)), size_of


def _read(
    source: Any,
    task: str | None,
    format: str | None,
    labels: str,
    cache: str | Path | None,
    workers: int,
    progress: Progress | None,
    channels: int | None,
) -> tuple[Annotations[Any], dict[Path, ImageFacts]]:
    """Read the annotations of a dataset, and the facts about its images.

    Images are decoded with a number of channels; with `None`, only their sizes are read.
    """
    check_count("workers", workers)
    folder = None if is_source(source) else cache
    store = FactsCache(folder, source_path(source), channels or RGB)
    annotations = read_dataset(source, task, format, labels=labels)
    paths = image_paths(annotations)
    advance = progress("images", len(paths)) if progress else lambda _: None
    return annotations, collect_facts(paths, store, workers, advance, channels is not None)


def known_size(facts: Mapping[Path, ImageFacts], path: Path) -> tuple[int, int]:
    """Return width and height of an image, from the facts where they are known.

    Raises:
        ImageError: (a `ValueError`) If the image cannot be read.
    """
    known = facts.get(path)
    return read_image_size(path) if known is None or known.size is None else known.size


def _image_problems(loaded: InspectedDataset, facts: Mapping[Path, ImageFacts]) -> list[Problem]:
    """Return the problems of images that have not been named before."""
    named = {problem.path for problem in loaded.problems if not problem.where}
    unnamed = {path: item for path, item in facts.items() if path not in named}
    return damaged_images(unnamed) + list(extreme_images(unnamed))


def dataset_images(loaded: InspectedDataset) -> list[DatasetImage]:
    """Return the images of all splits, with their classes in a dataset for classification."""
    images = []
    for split, dataset in loaded.splits.items():
        labels = [""] * len(dataset)
        if isinstance(dataset, ClassificationDataset):
            labels = [", ".join(dataset.classes_of(i)) for i in range(len(dataset))]
        pairs = zip(dataset.paths, labels, strict=True)
        images += [DatasetImage(path, split, label) for path, label in pairs]
    return images


def _problems_to_json(kind: str, problems: list[Problem]) -> dict[str, Any]:
    """Return the problems of a kind as JSON types."""
    return {
        "title": KINDS[kind].title,
        "action": KINDS[kind].action,
        "stops": KINDS[kind].stops,
        "count": len(problems),
        "files": [
            {"path": str(problem.path), "where": problem.where, "reason": problem.reason}
            for problem in problems
        ],
    }


def _group_to_json(group: DuplicateGroup) -> dict[str, Any]:
    return {
        "exact": group.is_exact,
        "leaks": group.leaks,
        "images": [
            {"path": str(image.path), "split": image.split}
            | ({"class": image.class_name} if image.class_name else {})
            for image in group.images
        ],
    }
