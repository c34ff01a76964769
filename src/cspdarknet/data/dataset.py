"""Datasets of annotated images and their splits: base classes for classification and detection."""

import abc
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Generic, NamedTuple, Self, TypeVar

import numpy as np

from cspdarknet.data.problems import Problem


@dataclass(frozen=True)
class ImageDataset(abc.ABC):
    """Image files with annotations; each subclass adds one column of annotations or more.

    Attributes:
        class_names: names of the classes, in the order of the class ids.
        paths: the image files.
    """

    class_names: tuple[str, ...]
    paths: tuple[Path, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: Sequence[int] | np.ndarray) -> Self:
        """Return the dataset of the images with these indices, in their order."""
        picked = [int(i) for i in indices]
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        del columns["class_names"]
        for name, column in columns.items():
            is_array = isinstance(column, np.ndarray)
            columns[name] = column[picked] if is_array else tuple(column[i] for i in picked)
        return replace(self, **columns)

    def class_ids(self, index: int) -> list[int]:  # noqa: ARG002  (those with classes use it)
        """Return the ids of the classes of an image, or of its boxes: none in other datasets."""
        return []

    @property
    def fingerprint(self) -> str:
        """SHA-256 of class names, file names, annotations and their order.

        The folder that holds all of the images does not matter, nor does the content of the images.
        """
        digest = hashlib.sha256("\n".join(self.class_names).encode(errors="surrogateescape"))
        paths = [path.absolute() for path in self.paths]
        root = os.path.commonpath([path.parent for path in paths]) if paths else ""
        for i, path in enumerate(paths):
            name = Path(os.path.relpath(path, root)).as_posix()
            digest.update(f"\0{name}\0".encode(errors="surrogateescape"))
            digest.update(self._annotation_bytes(i))
        return digest.hexdigest()

    @abc.abstractmethod
    def _annotation_bytes(self, index: int) -> bytes:
        """Return the annotation of one image as bytes, for the fingerprint."""


AnyDataset = TypeVar("AnyDataset", bound=ImageDataset)


@dataclass(frozen=True)
class DatasetSplits(Generic[AnyDataset]):
    """The splits of a dataset.

    Attributes:
        train: images to train on.
        validation: images that decide which epoch is the best.
        test: images kept apart for the final evaluation; `None` where there are none.
        problems: what was wrong in the files and has been clipped or left out.
        format: name of the format, and why it was recognized.
    """

    train: AnyDataset
    validation: AnyDataset
    test: AnyDataset | None = None
    problems: tuple[Problem, ...] = ()
    format: str = ""

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the class ids."""
        return self.train.class_names


class EvaluationSplit(NamedTuple, Generic[AnyDataset]):
    """The split of a dataset that a finished model is evaluated on.

    Attributes:
        name: `"test"` or `"validation"`; `"all"` for a dataset with neither.
        dataset: its images and annotations.
        problems: what was wrong in the files and has been clipped or left out.
    """

    name: str
    dataset: AnyDataset
    problems: tuple[Problem, ...] = ()
