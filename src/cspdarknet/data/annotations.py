"""Annotations of a dataset as read from its files, before they are checked."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, NamedTuple, TypeVar

from cspdarknet.data.problems import Problem

AnyImage = TypeVar("AnyImage", bound="LabeledImage | AnnotatedImage")


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
        class_names: the declared classes in their order; `None` where files declare none.
        problems: annotations that could not be read; their images are in no split.
        used: the annotation files that were read.
        format: name of the format, and why it was recognized.
        task: `"classification"` or `"detection"`.
    """

    splits: dict[str, list[AnyImage]]
    class_names: tuple[str, ...] | None = None
    problems: list[Problem] = field(default_factory=list)
    used: frozenset[Path] = frozenset()
    format: str = ""
    task: str = ""
