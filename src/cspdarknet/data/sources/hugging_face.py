"""Datasets of Hugging Face: a `datasets.Dataset`, a `DatasetDict`, or an address of the hub."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from cspdarknet._extras import require
from cspdarknet._labels import SINGLE
from cspdarknet.data.sources.rows import find_columns, row_items
from cspdarknet.data.sources.samples import Samples

# `pathlib` turns the two slashes into one.
ADDRESS = re.compile(r"hf:/{1,2}datasets/([\w.-]+/[\w.-]+?)(?:@([\w./-]+))?/?")


def is_address(source: str) -> bool:
    """Whether a source is an address such as `hf://datasets/owner/name`."""
    return source.startswith(("hf:/datasets", "hf://datasets"))


def load_address(source: str) -> Any:
    """Return the dataset of an address `hf://datasets/owner/name`, with `@revision` behind it.

    Raises:
        ValueError: if there is no such dataset, or it cannot be loaded.
        ImportError: if `datasets` is not installed.
    """
    match = ADDRESS.fullmatch(source)
    if match is None:
        raise ValueError(
            "An address of a dataset must be hf://datasets/owner/name, or with @revision behind "
            f"it. Received: {source}"
        )
    datasets: Any = require("datasets", "datasets", f"Loading {source}")
    name, revision = match.groups()
    try:
        return datasets.load_dataset(name, revision=revision)
    except Exception as error:  # of the network, of the hub, and of readers of files
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ValueError(f"hf://datasets/{name} cannot be loaded: {reason}") from error


def is_dataset(source: Any) -> bool:
    """Whether a source is a dataset of Hugging Face, recognized without importing the package."""
    return _is_of_package(source) and hasattr(source, "features")


def _is_of_package(source: Any) -> bool:
    return any(cls.__module__.split(".")[0] == "datasets" for cls in type(source).__mro__)


def dataset_samples(
    source: Mapping[str, Any],
    task: str | None,
    kind: str = "Hugging Face dataset",
    labels: str = SINGLE,
) -> Samples:
    """Return the images of the splits of a dataset.

    Args:
        source: a dataset for each split.
        task: `"classification"` or `"detection"`; `None` for either.
        kind: what the source is.
        labels: `"multi"` for images of any number of classes.

    Raises:
        ValueError: if the columns are not those of a dataset for the task.
    """
    features = dataset_features(next(iter(source.values())), kind)
    columns = find_columns(features, task, kind, labels)

    def items() -> Iterator[Any]:
        for split, dataset in source.items():
            rows = dataset_rows(dataset, columns.image, columns.names)
            yield from row_items(rows, columns, split, f"{kind}, {split}")

    return Samples(items(), columns.class_names, f"{kind}: {columns.description}")


def dataset_features(dataset: Any, kind: str = "Hugging Face dataset") -> Mapping[str, Any]:
    """Return the features of the columns of a dataset.

    Raises:
        ValueError: if it has none.
    """
    if dataset.features is None:
        raise ValueError(
            f"A {kind} must have features. Received: a dataset without: call `resolve_features`."
        )
    features: Mapping[str, Any] = dataset.features
    return features


def dataset_rows(dataset: Any, image: str, names: Iterable[str]) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a dataset, with images as the bytes of their files: nothing is decoded."""
    rows = dataset.with_format(None).select_columns(list(names))
    feature = dataset.features[image]
    if type(feature).__name__ == "Image":
        rows = rows.cast_column(image, type(feature)(decode=False))
    yield from rows
