"""Comparison of the classes of a dataset with those of a model to evaluate."""

from collections.abc import Sequence
from pathlib import Path

from cspdarknet.model_info import numbered_names


def check_model_classes(path: Path, class_names: Sequence[str], found: Sequence[str]) -> None:
    """Check that a model knows the classes of a dataset.

    Args:
        path: the dataset.
        class_names: the classes of the model, in the order of their ids.
        found: the classes of the dataset.

    Raises:
        ValueError: if the classes of the model have no names, or it knows none of the dataset's.
    """
    if not found or set(found) & set(class_names):
        return
    if tuple(class_names) == numbered_names(len(class_names)):
        names = ",".join(found) if len(found) == len(class_names) else "NAME,NAME,..."
        raise ValueError(
            f"The model has {len(class_names)} classes without names, and {path} has {len(found)}: "
            f"{', '.join(found)}. Name those of the model in the order of their ids: "
            f"`--class-names {names}` (in Python class_names=[...])."
        )
    raise ValueError(
        f"{path} has no class that the model knows. It has {', '.join(found)}. The model knows "
        f"{', '.join(class_names)}."
    )
