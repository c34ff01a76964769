"""Stratified assignment of groups of images to splits."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

NO_CLASS = -1


class _Group(NamedTuple):
    """Images that stay together: their indices, and the number of images of each class."""

    images: list[int]
    counts: Counter[int]


def assign(
    groups: Sequence[str], classes: Sequence[set[int]], fractions: Sequence[float], seed: int
) -> np.ndarray:
    """Assign each image to a split.

    Groups are assigned class by class, the rarest first, each to the split that lacks most images
    of the class. A split gets a group of each class of which at least one image is due to it, and
    no split is empty, if there are enough groups.

    Args:
        groups: the group of each image; images of the same group get the same split.
        classes: the classes of each image.
        fractions: fraction of the images of each split, greater than 0.
        seed: random seed of the order of the groups.

    Returns:
        An int array `(images,)`, the index of the split of each image.

    References:
        K. Sechidis et al., On the Stratification of Multi-Label Data, 2011.

    Example:
        >>> assign(["a", "b", "c", "a"], [{0}, {0}, {0}, {0}], (0.5, 0.5), seed=0)
        array([0, 1, 1, 0])
    """
    units = _units(groups, classes)
    order = np.random.default_rng(seed).permutation(len(units)).tolist()
    totals: Counter[int] = Counter()
    for unit in units:
        totals += unit.counts
    assigned: dict[int, np.ndarray] = defaultdict(
        lambda: np.zeros(len(fractions))
    )  # images of each class by split
    owed = np.zeros(len(fractions))
    chosen = np.full(len(groups), -1)
    for label, members in _by_rarest_class(units, order, totals).items():
        members.sort(key=lambda k: -units[k].counts[label])
        count = sum(units[k].counts[label] for k in members)
        due = totals[label] * np.array(fractions)
        needed = _whole(count, due, assigned[label], owed)
        for position, k in enumerate(members):
            split = _choose(needed, assigned[label], len(members) - position)
            chosen[units[k].images] = split
            needed[split] -= units[k].counts[label]
            for other, images in units[k].counts.items():
                assigned[other][split] += images
    _fill_empty_splits(chosen, units, order, fractions)
    return chosen


def _fill_empty_splits(
    chosen: np.ndarray, units: Sequence[_Group], order: Sequence[int], fractions: Sequence[float]
) -> None:
    """Give each empty split a small group of the largest split, if that keeps its classes."""
    for empty in range(len(fractions)):
        if (chosen == empty).any():
            continue
        largest = int(np.argmax(np.bincount(chosen, minlength=len(fractions))))
        members = [k for k in order if chosen[units[k].images[0]] == largest]
        present: Counter[int] = Counter()
        for k in members:
            present.update(units[k].counts)
        spare = [
            k
            for k in members
            if all(present[i] > n for i, n in units[k].counts.items() if i != NO_CLASS)
        ]
        if spare and len(members) > 1:
            chosen[units[min(spare, key=lambda k: len(units[k].images))].images] = empty


def _units(groups: Sequence[str], classes: Sequence[set[int]]) -> list[_Group]:
    """Return the groups in the order of their names."""
    images = defaultdict(list)
    for i, group in enumerate(groups):
        images[group].append(i)
    return [
        _Group(images[name], Counter(k for i in images[name] for k in classes[i] or {NO_CLASS}))
        for name in sorted(images)
    ]


def _by_rarest_class(
    units: Sequence[_Group], order: Sequence[int], totals: Counter[int]
) -> dict[int, list[int]]:
    """Return the groups by their rarest class, the rarest first, and those without one last."""

    def rarity(label: int) -> tuple[bool, int, int]:
        return label == NO_CLASS, totals[label], label

    members = defaultdict(list)
    for k in order:
        members[min(units[k].counts, key=rarity)].append(k)
    return {label: members[label] for label in sorted(members, key=rarity)}


def _whole(count: int, due: np.ndarray, present: np.ndarray, owed: np.ndarray) -> np.ndarray:
    """Divide the remaining images of a class into whole numbers, and update what is owed.

    Where less than one image of a class is due to a split, it gets one of some classes only, so
    that the fractions of all images together are exact. The first split gets one of each class.

    Args:
        count: number of images to divide.
        due: number of images of the class for each split.
        present: number of those that it has.
        owed: number of images that rounding owes to each split, over all classes.
    """
    missing = np.maximum(due - present, 0)
    exact = missing * (count / missing.sum()) + owed
    needed = np.maximum(np.floor(exact + 1e-9), 0).astype(int)
    while needed.sum() < count:
        needed[np.argmax(np.round(exact - needed, 9))] += 1
    while needed.sum() > count:
        needed[np.argmin(np.where(needed > 0, exact - needed, np.inf))] -= 1
    for i in range(len(due)):
        lacks = not present[i] + needed[i] and (i == 0 or due[i] >= 1 - 1e-9)
        if lacks and (needed.max() > 1 or i == 0):
            needed[np.argmax(needed)] -= 1
            needed[i] += 1
    owed[:] = exact - needed
    return needed


def _choose(needed: np.ndarray, present: np.ndarray, remaining: int) -> int:
    """Return the split of the next group: the neediest; at the end, those that have no image."""
    empty = np.flatnonzero((needed > 0) & (present == 0))
    return int(empty[0] if 0 < len(empty) >= remaining else np.argmax(needed))
