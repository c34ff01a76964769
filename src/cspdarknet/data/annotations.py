"""Annotations of a dataset as read from its files, before they are checked."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from cspdarknet.data.problems import Problem

AnyImage = TypeVar(
    "AnyImage", bound="LabeledImage | MultiLabelImage | NumberedImage | AnnotatedImage"
)


class LabeledImage(NamedTuple):
    """An image and the name of its class.

    Attributes:
        path: the image file.
        class_name: name of the class.
    """

    path: Path
    class_name: str

    @property
    def class_names(self) -> tuple[str, ...]:
        """The class, as of a `MultiLabelImage`."""
        return (self.class_name,)


class MultiLabelImage(NamedTuple):
    """An image and the names of all its classes.

    Attributes:
        path: the image file.
        class_names: names of the classes, each once; none for an image of no class.
    """

    path: Path
    class_names: tuple[str, ...]


class NumberedImage(NamedTuple):
    """An image and its numbers, as a table states them.

    Attributes:
        path: the image file.
        values: the text of each column of the table but path and split.
        table: the table.
        where: the row in the table, such as `"line 3"`.
    """

    path: Path
    values: Mapping[str, str]
    table: Path
    where: str


@dataclass(frozen=True)
class AnnotatedImage:
    """An image and its boxes.

    Attributes:
        path: the image file.
        boxes: left, top, right and bottom of each box.
        names: class name of each box.
        ignored: whether each box is neither trained on nor counted; empty if none is.
        size: width and height that the annotation states, if it does.
        relative: whether boxes are fractions of width and height instead of pixels.
    """

    path: Path
    boxes: list[tuple[float, float, float, float]]
    names: list[str]
    ignored: list[bool] = field(default_factory=list)
    size: tuple[int, int] | None = None
    relative: bool = False

    def __post_init__(self) -> None:
        if not self.ignored:
            object.__setattr__(self, "ignored", [False] * len(self.boxes))


@dataclass(frozen=True)
class Annotations(Generic[AnyImage]):
    """The annotations of a dataset, as the reader of its format returns them.

    Attributes:
        splits: images of the splits `"train"`, `"validation"` and `"test"`, as far as the dataset
            has them; a dataset without splits has all of its images in `"train"`.
        class_names: the declared classes in their order; `None` where files declare none. Of
            `NumberedImage`, the columns of numbers.
        problems: annotations that could not be read; their images are in no split.
        used: the annotation files that were read.
        format: name of the format, and why it was recognized.
        task: `"classification"`, `"regression"` or `"detection"`.
    """

    splits: dict[str, list[AnyImage]]
    class_names: tuple[str, ...] | None = None
    problems: list[Problem] = field(default_factory=list)
    used: frozenset[Path] = frozenset()
    format: str = ""
    task: str = ""


def as_multi_label(annotations: Annotations[LabeledImage]) -> Annotations[MultiLabelImage]:
    """Return images of one class each as images of any number of classes."""
    splits = {
        split: [MultiLabelImage(image.path, image.class_names) for image in images]
        for split, images in annotations.splits.items()
    }
    return replace(annotations, splits=splits)  # type: ignore[arg-type, return-value]
