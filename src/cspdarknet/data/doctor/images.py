"""Images that may spoil a training: damaged, extreme, or in the dataset more than once."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cspdarknet.data.doctor.duplicates import DatasetImage, DuplicateGroup
from cspdarknet.data.doctor.facts import ImageFacts
from cspdarknet.data.problems import Problem

SMALL_SIDE = 32  # pixels: the coarsest stride of the networks
LARGE_PIXELS = 40_000_000
NARROW_RATIO = 5.0  # of the longer to the shorter side
SHOWN_COPIES = 3


def damaged_images(facts: Mapping[Path, ImageFacts]) -> list[Problem]:
    """Return the problems of images that cannot be decoded.

    Example:
        >>> facts = {Path("a.jpg"): ImageFacts((80, 60), "damaged (truncated).")}
        >>> print(*damaged_images(facts))
        a.jpg: damaged (truncated).
    """
    return [
        Problem("damaged image", path, item.error) for path, item in facts.items() if item.error
    ]


def extreme_images(facts: Mapping[Path, ImageFacts]) -> Iterator[Problem]:
    """Yield the images that are very small, large, narrow or low, or of a single color."""
    for path, item in facts.items():
        if item.size is None:
            continue
        width, height = item.size
        text = f"it has {width} x {height} pixels"
        if min(item.size) < SMALL_SIDE:
            yield Problem("small image", path, text)
        if width * height > LARGE_PIXELS:
            yield Problem("large image", path, text)
        if max(item.size) > NARROW_RATIO * min(item.size):
            yield Problem("narrow image", path, text)
        if item.is_uniform:
            yield Problem("uniform image", path, "it has a single color")


def duplicate_images(groups: Sequence[DuplicateGroup]) -> Iterator[Problem]:
    """Yield a problem for each group of images that are the same, or two.

    Images of several classes, and images of several splits, are named as such.
    """
    for group in groups:
        first = group.images[0]
        same = "has the same bytes as" if group.is_exact else "looks almost like"
        if group.conflicts:
            yield _problem("conflicting label", first, same, _classes_first(group), "class_name")
        if group.leaks:
            yield _problem("leaked image", first, same, _splits_first(group), "split")
        if not group.conflicts and not group.leaks:
            kind = "duplicate image" if group.is_exact else "similar image"
            yield _problem(kind, first, same, group.images[1:])


def _problem(
    kind: str,
    first: DatasetImage,
    same: str,
    others: Sequence[DatasetImage],
    attribute: str | None = None,
) -> Problem:
    def name(image: DatasetImage) -> str:
        return f"{image.path} ({getattr(image, attribute)})" if attribute else str(image.path)

    shown = ", ".join(map(name, others[:SHOWN_COPIES]))
    if len(others) > SHOWN_COPIES:
        shown += f" and {len(others) - SHOWN_COPIES} more"
    subject = f"of {getattr(first, attribute)}, " if attribute else ""
    return Problem(kind, first.path, f"{subject}{same} {shown}")


def _classes_first(group: DuplicateGroup) -> list[DatasetImage]:
    """Return the images but the first, those of another class first."""
    name = group.images[0].class_name
    return sorted(group.images[1:], key=lambda image: image.class_name == name)


def _splits_first(group: DuplicateGroup) -> list[DatasetImage]:
    """Return the images but the first, those of another split first."""
    split = group.images[0].split
    return sorted(group.images[1:], key=lambda image: image.split == split)
