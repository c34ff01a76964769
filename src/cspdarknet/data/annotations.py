"""Annotations of a dataset as read from its files, before they are checked."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

AnyImage = TypeVar("AnyImage")


@dataclass(frozen=True)
class Problem:
    """A file of a dataset that cannot be used as it is.

    Attributes:
        path: the file.
        reason: description of the problem, as the end of a sentence.
    """

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class LabeledImage(NamedTuple):
    """An image and the name of its class.

    Attributes:
        path: the image file.
        class_name: name of the class.
    """

    path: Path
    class_name: str


@dataclass(frozen=True)
class AnnotatedImage:
    """An image and its boxes.

    Attributes:
        path: the image file.
        boxes: left, top, right and bottom of each box.
        names: class name of each box.
        ignored: whether each box is neither trained on nor counted.
        size: width and height that the annotation states, if it does.
        relative: whether boxes are fractions of width and height instead of pixels.
    """

    path: Path
    boxes: list[tuple[float, float, float, float]]
    names: list[str]
    ignored: list[bool]
    size: tuple[int, int] | None = None
    relative: bool = False


@dataclass(frozen=True)
class Annotations(Generic[AnyImage]):
    """The annotations of a dataset, as the reader of its format returns them.

    Attributes:
        splits: images of the splits `"train"`, `"validation"` and `"test"`, as far as the dataset
            has them; a dataset without splits has all of its images in `"train"`.
        class_names: the declared classes in their order; `None` where files declare none.
        problems: annotations that could not be read; their images are in no split.
    """

    splits: dict[str, list[AnyImage]]
    class_names: tuple[str, ...] | None = None
    problems: list[Problem] = field(default_factory=list)
