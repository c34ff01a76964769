"""Reading of the annotations of a dataset that is not a folder or an annotation file."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cspdarknet._labels import MULTI, SINGLE
from cspdarknet.data.annotations import (
    AnnotatedImage,
    Annotations,
    LabeledImage,
    MultiLabelImage,
)
from cspdarknet.data.formats.class_lists import separator_of, split_names
from cspdarknet.data.formats.merging import split_of
from cspdarknet.data.problems import Problem
from cspdarknet.data.sources.hugging_face import (
    dataset_samples,
    is_address,
    is_dataset,
    load_address,
)
from cspdarknet.data.sources.image_store import ImageStore
from cspdarknet.data.sources.numbers import read_numbers
from cspdarknet.data.sources.samples import Objects, Samples
from cspdarknet.data.sources.sequences import sequence_samples
from cspdarknet.data.sources.tables import frame_samples, is_frame, parquet_samples
from cspdarknet.data.splits import SPLIT_NAMES, split_name
from cspdarknet.images import ImageError

NO_OBJECTS = Objects([], [])
EXPECTED = (
    "A dataset must be a folder, an annotation file, a .parquet file, hf://datasets/owner/name, a "
    "dataset of Hugging Face or PyTorch, a sequence of (image, target), a data frame of pandas or "
    "Polars, or a dict of these by split."
)


def is_source(source: Any) -> bool:
    """Whether a dataset is something else than a folder or an annotation file.

    Example:
        >>> is_source("pets"), is_source("pets.parquet"), is_source([("a.jpg", "cat")])
        (False, True, True)
    """
    if not isinstance(source, (str, Path)):
        return True
    is_parquet = str(source).lower().endswith(".parquet") and not Path(source).is_dir()
    return is_address(str(source)) or is_parquet


def source_path(source: Any) -> Path:
    """Return the name of a dataset for messages and records, as a path.

    Example:
        >>> source_path("pets"), source_path([("a.jpg", "cat")])
        (PosixPath('pets'), PosixPath('list'))
    """
    return Path(source if isinstance(source, (str, Path)) else type(source).__name__)


def read_source(
    source: Any,
    task: str | None = None,
    images_folder: str | Path | None = None,
    labels: str = SINGLE,
) -> Annotations[Any]:
    """Read the annotations of a dataset that is not a folder or an annotation file.

    Args:
        source: the dataset.
        task: `"classification"`, `"detection"` or `"regression"`; `None` for one of the first two.
        images_folder: folder to write images that are not files to; `None` for a temporary one.
        labels: `"multi"` for images of any number of classes.

    Raises:
        ValueError: if it is not a dataset, or one for another task.
        ImportError: if a package that it needs is not installed.

    Example:
        >>> Image.new("RGB", (8, 8)).save("tom.png")
        >>> pairs = [("tom.png", "cat"), (np.zeros((8, 8, 3), "uint8"), "dog")]
        >>> annotations = read_source(pairs)
        >>> [image.class_name for image in annotations.splits["train"]]
        ['cat', 'dog']
    """
    if task == "regression":
        return read_numbers(*_number_splits(source, images_folder))
    samples, base = _opened(source, task, labels)
    return _annotations(samples, task, ImageStore(images_folder, base), labels == MULTI)


def source_task(source: Any) -> str:
    """Return the task of such a dataset, that of its first annotation.

    Raises:
        ValueError: if it is not a dataset.
        ImportError: if a package that it needs is not installed.

    Example:
        >>> source_task([("tom.png", "cat")])
        'classification'
    """
    targets = (target for _, _, target in _opened(source, None, SINGLE)[0].items)
    first = next((target for target in targets if target is not None), None)
    return "detection" if isinstance(first, Objects) else "classification"


def _number_splits(
    source: Any, images_folder: str | Path | None
) -> tuple[dict[str, Any], ImageStore]:
    """Return the parts of a dataset of numbers by split, and what stores their images."""
    if isinstance(source, (str, Path)) and not is_address(str(source)):
        path = _existing(source)
        return {split_of(path.name) or "train": path}, ImageStore(images_folder, path.parent)
    loaded = load_address(str(source)) if isinstance(source, (str, Path)) else source
    splits = _by_split(loaded) if isinstance(loaded, Mapping) else {"train": loaded}
    return splits, ImageStore(images_folder)


def _opened(source: Any, task: str | None, labels: str) -> tuple[Samples, Path]:
    """Return the samples of a dataset, and the folder that paths in it are relative to."""
    if not isinstance(source, (str, Path)):
        return _samples(source, task, labels), Path()
    if is_address(str(source)):
        return _samples(load_address(str(source)), task, labels), Path()
    path = _existing(source)
    return parquet_samples(path, task, labels), path.parent


def _existing(source: str | Path) -> Path:
    if not Path(source).is_file():
        raise ValueError(f"There is no file {source}.")
    return Path(source)


def _samples(source: Any, task: str | None, labels: str) -> Samples:
    splits = _by_split(source) if isinstance(source, Mapping) else {"train": source}
    values = list(splits.values())
    if all(is_dataset(value) for value in values):
        return dataset_samples(splits, task, labels=labels)
    if all(is_frame(value) for value in values):
        return frame_samples(splits, task, labels)
    if any(
        isinstance(value, (str, bytes, Path, Mapping, type))
        or not (isinstance(value, Iterable) or hasattr(value, "__getitem__"))
        for value in values
    ):
        received = ", ".join(dict.fromkeys(type(value).__name__ for value in values))
        raise ValueError(f"{EXPECTED} Received: {received}")
    return sequence_samples(splits)


def _by_split(source: Mapping[Any, Any]) -> dict[str, Any]:
    """Return the datasets of a dict by the names of our splits."""
    splits: dict[str, Any] = {}
    for key, value in source.items():
        split = split_name(str(key), exact=True)
        if split is None or split in splits:
            raise ValueError(
                f"The keys of a dict of datasets must be {', '.join(SPLIT_NAMES)}, each once. "
                f"Received: {', '.join(map(repr, source))}. Choose among them: "
                '`{"train": datasets["..."]}`.'
            )
        splits[split] = value
    if not splits:
        raise ValueError("A dict of datasets must not be empty.")
    return splits


def _annotations(
    samples: Samples, task: str | None, store: ImageStore, is_multi_label: bool
) -> Annotations[Any]:
    """Write the images of a dataset, and return its annotations."""
    splits: dict[str, list[LabeledImage | MultiLabelImage | AnnotatedImage]] = {}
    problems = []
    ids: set[int] = set()
    known = set(samples.class_names.values())
    found: str | None = None
    for index, (split, image, target) in enumerate(samples.items):
        where = f"{samples.kind}, item {index}"
        try:
            path = store.path(image, split, index, upright=not isinstance(target, Objects))
        except ImageError as error:
            problems.append(Problem("unreadable image", Path(where), str(error)))
            continue
        if is_multi_label and target == NO_OBJECTS:  # an empty list
            target = ()
        if target is None:
            problems.append(Problem("unlabeled image", path, "it has no annotation"))
            continue
        this = "detection" if isinstance(target, Objects) else "classification"
        if found not in (None, this) or task not in (None, this):
            raise ValueError(
                f"{where}: the target must be that of a dataset for {task or found}. Received: "
                f"{'boxes' if this == 'detection' else 'a class'}"
            )
        found = this
        if isinstance(target, Objects):
            labels: Sequence[int | str] = target.labels
        else:
            labels = _classes(target, is_multi_label, where)
        ids.update(label for label in labels if isinstance(label, int))
        names = [_name(label, samples.class_names) for label in labels]
        if isinstance(target, Objects):
            item = AnnotatedImage(path, target.boxes, names, target.ignored)
            splits.setdefault(split, []).append(item)
        elif known and not known >= set(names):
            problems.append(Problem("unknown class", path, f"its class is {target!r}"))
        elif is_multi_label:
            splits.setdefault(split, []).append(MultiLabelImage(path, tuple(names)))
        else:
            splits.setdefault(split, []).append(LabeledImage(path, names[0]))
    # Ids without names are sorted as numbers.
    class_names = tuple(samples.class_names.values()) or tuple(map(str, sorted(ids)))
    return Annotations(
        splits,
        class_names or None,
        problems,
        format=samples.kind,
        task=found or task or "classification",
    )


def _classes(
    target: int | str | tuple[int | str, ...], is_multi_label: bool, where: str
) -> Sequence[int | str]:
    """Return the classes of an image, exactly one if it is not one of a multi-label dataset."""
    if isinstance(target, str) and is_multi_label:
        return split_names(target, separator_of([target]))
    if not isinstance(target, tuple):
        return [target]
    if not is_multi_label:
        raise ValueError(
            f"{where}: the target of an image must be one class. Received: several classes or "
            f"none, {target!r}: read the dataset with labels='multi'"
        )
    return target


def _name(label: int | str, class_names: Mapping[int, str]) -> str:
    if isinstance(label, str):
        return label
    return class_names.get(label, f"id {label}") if class_names else str(label)
