"""Problems of a dataset: what is wrong in which file, and what was done about it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

SHOWN_PROBLEMS = 5
ON_PROBLEM = ("raise", "fix")


class Kind(NamedTuple):
    """A kind of problem.

    Attributes:
        title: what the problems of this kind are, in the plural.
        action: what is done about each.
        stops: whether a training stops because of it, unless it is told to fix problems. The others
            are notes.
    """

    title: str
    action: str
    stops: bool = True


KINDS = {
    "missing image": Kind("annotated images that do not exist", "left out"),
    "unreadable image": Kind("files that are not images, or are damaged", "left out"),
    "ambiguous image": Kind("annotations that several images match", "left out"),
    "image size": Kind("images of another size than their annotation states", "left out"),
    "repeated image": Kind("images that are annotated more than once", "the first is kept"),
    "malformed annotation": Kind("annotations that cannot be read", "left out"),
    "missing annotation": Kind("listed images without an annotation file", "left out"),
    "empty split": Kind("splits without images", "left out"),
    "label without image": Kind("annotation files without an image", "left out"),
    "unknown class": Kind("annotations of unknown classes", "left out"),
    "missing number": Kind("images with a missing number, or one that is not finite", "left out"),
    "several classes": Kind("images with several classes, or none", "left out"),
    "invalid box": Kind("boxes without an area, or not of finite numbers", "left out"),
    "scaled box": Kind("boxes in fractions instead of pixels, or the reverse", "left out"),
    "box outside image": Kind("boxes outside their image", "left out"),
    "box beyond image": Kind("boxes that extend beyond their image", "clipped"),
    "repeated box": Kind("boxes that are given more than once", "the first is kept"),
    "unlabeled image": Kind("images without annotations", "left out", stops=False),
    "annotation without box": Kind("annotations without a box", "not read", stops=False),
    "unlisted image": Kind("images that no list of a split names", "left out", stops=False),
    "nested folder": Kind(
        "subfolders of class folders", "their images are of the class", stops=False
    ),
    "empty folder": Kind("folders without images", "not a class", stops=False),
    "split without boxes": Kind(
        "splits whose images have no boxes", "not evaluated on", stops=False
    ),
    "unused file": Kind("files of other kinds", "not read", stops=False),
    "moved path": Kind("paths of another machine", "found below the dataset", stops=False),
    "ignored box": Kind("ignored boxes, which the format cannot mark", "left out", stops=False),
    "same split": Kind("splits of the same images", "one is kept", stops=False),
    # Found by `check_dataset` only.
    "damaged image": Kind("images that cannot be decoded", "skipped by a training", stops=False),
    "leaked image": Kind("equal or similar images in several splits", "kept", stops=False),
    "conflicting label": Kind("equal or similar images of several classes", "kept", stops=False),
    "duplicate image": Kind("images of the same bytes", "kept", stops=False),
    "similar image": Kind("images that are almost the same", "kept", stops=False),
    "small image": Kind("very small images", "kept", stops=False),
    "large image": Kind("very large images", "kept", stops=False),
    "narrow image": Kind("very narrow or very low images", "kept", stops=False),
    "uniform image": Kind("images of a single color", "kept", stops=False),
}


@dataclass(frozen=True)
class Problem:
    """A problem of a dataset.

    Attributes:
        kind: a key of `KINDS`.
        path: the file.
        reason: description of the problem, as the end of a sentence about the file.
        where: the line or key in the file, such as `"line 3"`; empty for the whole file.

    Example:
        >>> problem = Problem("invalid box", Path("a.txt"), "the box has no area", "line 3")
        >>> print(problem, "|", problem.action)
        a.txt, line 3: the box has no area | left out
    """

    kind: str
    path: Path
    reason: str
    where: str = ""

    @property
    def stops(self) -> bool:
        """Whether a training stops because of it, unless it is told to fix problems."""
        return KINDS[self.kind].stops

    @property
    def action(self) -> str:
        """What was done about it."""
        return KINDS[self.kind].action

    def __str__(self) -> str:
        where = f", {self.where}" if self.where else ""
        return f"{self.path}{where}: {self.reason}"


def by_kind(problems: Iterable[Problem]) -> dict[str, list[Problem]]:
    """Group problems by their kind, in the order of `KINDS`."""
    groups = defaultdict(list)
    for problem in problems:
        groups[problem.kind].append(problem)
    return {kind: groups[kind] for kind in KINDS if kind in groups}


def check_problems(path: Path, problems: Sequence[Problem]) -> None:
    """Check that a dataset has no problem that stops a training.

    Args:
        path: the dataset.
        problems: its problems.

    Raises:
        ValueError: if it has such a problem.
    """
    stopping = [problem for problem in problems if problem.stops]
    if not stopping:
        return
    files = len({problem.path for problem in stopping})
    lines = [f"  {problem}" for problem in stopping[:SHOWN_PROBLEMS]]
    if len(stopping) > SHOWN_PROBLEMS:
        lines.append(f"  and {len(stopping) - SHOWN_PROBLEMS} more")
    raise ValueError(
        "\n".join(
            [
                f"{path}: {count_of(len(stopping), 'problem')} in {count_of(files, 'file')}.",
                *lines,
                "Correct them; or add `--on-problem fix` (in Python on_problem='fix') to clip "
                "boxes to their image, leave out what cannot be used, and list it. `cspdarknet "
                "data check` lists all of them.",
            ]
        )
    )


def count_of(count: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun.

    Example:
        >>> count_of(1, "problem"), count_of(1200, "box", "boxes")
        ('1 problem', '1,200 boxes')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
