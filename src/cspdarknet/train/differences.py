"""Differences between the settings of two trainings, in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

# Settings that may change when a run is continued, since they do not change its result.
FREE_SETTINGS = ("data", "versions")
SHOWN_NAMES = 5
SPLITS = {"train": "training images", "validation": "validation images"}


def differences(stored: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    """Describe the entries in which the settings of two trainings differ.

    Args:
        stored: the content of the `run.json` of a run.
        given: the settings of another one, as JSON types.

    Returns:
        A text for each entry, such as `"epochs 3 → 12"`.

    Example:
        >>> phases = [{"epochs": 3, "image_size": 96}], [{"epochs": 12, "image_size": 160}]
        >>> differences(*({"recipe": {"phases": phase}} for phase in phases))
        ['epochs 3 → 12', 'image size 96 → 160']
    """
    return list(_of_mappings(stored, given))


def _of_mappings(stored: Mapping[str, Any], given: Mapping[str, Any]) -> Iterator[str]:
    for key in {**stored, **given}:
        before, after = stored.get(key), given.get(key)
        if before == after or key in FREE_SETTINGS:
            continue
        if key not in stored and not after:  # an option that is off, which the run did not have yet
            continue
        if key == "phases" and isinstance(before, list) and isinstance(after, list):
            yield from _of_phases(before, after)
        elif key in SPLITS and isinstance(before, dict) and isinstance(after, dict):
            yield _of_images(SPLITS[key], before, after)
        elif isinstance(before, dict) and isinstance(after, dict):
            yield from _of_mappings(before, after)
        else:
            yield f"{key.replace('_', ' ')} {_text(before)} → {_text(after)}"


def _of_phases(before: Sequence[Any], after: Sequence[Any]) -> Iterator[str]:
    """Describe totals, as a user gives them; the single phases only where the totals agree."""
    totals = {
        "epochs": [sum(phase["epochs"] for phase in phases) for phases in (before, after)],
        "image size": [_size(phases[-1]["image_size"]) for phases in (before, after)],
    }
    changed = {name: values for name, values in totals.items() if values[0] != values[1]}
    if changed:
        yield from (f"{name} {old} → {new}" for name, (old, new) in changed.items())
        return
    for key in before[0]:
        old, new = ([phase.get(key) for phase in phases] for phases in (before, after))
        if old != new:
            yield f"{key.replace('_', ' ')} of the phases {_text(old)} → {_text(new)}"


def _size(value: Any) -> Any:
    return "x".join(map(str, value)) if isinstance(value, list) else value


def _of_images(name: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    counts = before.get("images"), after.get("images")
    if counts[0] == counts[1]:
        return f"{name} with other files or annotations"
    return f"{name} {counts[0]} → {counts[1]}"


def _text(value: Any) -> str:
    if isinstance(value, list):
        names = ", ".join(map(_text, value[:SHOWN_NAMES]))
        return f"{names}, …" if len(value) > SHOWN_NAMES else names
    if isinstance(value, dict):
        return ", ".join(f"{key} {_text(item)}" for key, item in value.items())
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
