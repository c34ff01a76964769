"""Score thresholds of a detector: one for all classes, one for each, or those of named classes."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cspdarknet._arguments import MAX_CLASSES, check_fraction

NAME = "score_threshold"
DEFAULT = 0.25  # of a detector that has none of its own
ScoreThreshold = float | tuple[float, ...]
NamedThresholds = tuple[tuple[str, float], ...]  # class names and their thresholds, hashable


def check_score_threshold(value: Any, num_classes: int | None = None) -> ScoreThreshold:
    """Accept a number in [0, 1], or a sequence of such numbers, one for each class.

    Args:
        value: the threshold or thresholds.
        num_classes: number of classes; `None` if it is not known.

    Returns:
        A float, or a tuple of floats.

    Raises:
        ValueError: if a number is out of range, or there are too few or too many.

    Example:
        >>> check_score_threshold([0.5, 0.25], num_classes=2)
        (0.5, 0.25)
    """
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if not isinstance(value, (list, tuple)):
        return check_fraction(NAME, value)
    if num_classes is None and not 1 <= len(value) <= MAX_CLASSES:
        raise ValueError(
            f"`{NAME}` must be one number, or one for each class. Received: {len(value)} numbers"
        )
    if num_classes is not None and len(value) != num_classes:
        raise ValueError(
            f"`{NAME}` must be one number, or one for each of the {num_classes} classes. "
            f"Received: {len(value)} numbers"
        )
    return tuple(check_fraction(NAME, number) for number in value)


def check_named_thresholds(value: Mapping[Any, Any]) -> NamedThresholds:
    """Accept a dict from the names of classes to their thresholds.

    Raises:
        ValueError: if it is empty, or holds something else.
    """
    if not value or not all(isinstance(name, str) for name in value):
        raise ValueError(
            f"`{NAME}` as a dict must have names of classes and their thresholds, such as "
            f"{{'cat': 0.5}}. Received: {NAME}={value!r}"
        )
    return tuple((name, check_fraction(NAME, number)) for name, number in value.items())


def is_named(value: Any) -> bool:
    """Whether a value is `NamedThresholds`."""
    return (
        isinstance(value, tuple)
        and bool(value)
        and all(isinstance(pair, tuple) and len(pair) == 2 for pair in value)
    )


def to_json(value: ScoreThreshold) -> float | list[float]:
    """Return a threshold, or thresholds by class id, as JSON types."""
    return list(value) if isinstance(value, tuple) else value


def of_classes(
    value: ScoreThreshold | NamedThresholds, default: ScoreThreshold, class_names: Sequence[str]
) -> ScoreThreshold:
    """Return thresholds by class id, with a default for the classes that are not named.

    Raises:
        ValueError: if there is no class of a name, or the number of thresholds is another one.

    Example:
        >>> of_classes((("dog", 0.5),), 0.25, ["cat", "dog"])
        (0.25, 0.5)
    """
    if not is_named(value):
        return check_score_threshold(value, len(class_names))
    given = dict(value)  # type: ignore[arg-type]
    if unknown := [name for name in given if name not in class_names]:
        raise ValueError(
            f"`{NAME}` must name classes of the model: {', '.join(class_names)}. "
            f"Received: {', '.join(unknown)}"
        )
    defaults = per_class(default, len(class_names))
    return tuple(given.get(name, x) for name, x in zip(class_names, defaults, strict=True))


def per_class(value: ScoreThreshold, num_classes: int) -> tuple[float, ...]:
    """Return the threshold of each class."""
    return value if isinstance(value, tuple) else (value,) * num_classes


def parse_score_threshold(text: str | None) -> float | dict[str, float] | None:
    """Read a text such as `0.3`, or `cat=0.3,dog=0.5`; `None` stays `None`.

    Raises:
        ValueError: if it is another text.
    """
    if text is None:
        return None
    parts = [part.strip().rpartition("=") for part in text.split(",")]
    names = [name.strip() for name, _, _ in parts]
    try:
        numbers = [float(number) for _, _, number in parts]
    except ValueError:
        numbers = []
    if numbers and all(names) and len(set(names)) == len(names):
        return dict(zip(names, numbers, strict=True))
    if len(numbers) == 1 and not parts[0][1]:
        return numbers[0]
    raise ValueError(
        f"`{NAME}` must be a number such as 0.3, or class names with numbers such as "
        f"cat=0.3,dog=0.5. Received: {text}"
    )
