"""The classes of a dataset for image classification, and their order."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cspdarknet._labels import MULTI, ORDINAL, SINGLE
from cspdarknet.data.annotations import LabeledImage, MultiLabelImage
from cspdarknet.data.formats.class_lists import SEPARATORS, split_names

Images = Sequence[LabeledImage] | Sequence[MultiLabelImage]


def ordered_classes(
    path: Path,
    splits: Mapping[str, Images],
    declared: Sequence[str] | None = None,
    labels: str = SINGLE,
    given: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Return the classes of the training split, in the order of their ids.

    Args:
        path: the dataset.
        splits: the images of each split.
        declared: the classes that the dataset declares, in order; `None` if it declares none.
        labels: the kind of labels. Ordinal ones are from low to high.
        given: the order that the user gives; `None` for the declared one, or else that of the
            names: ordinal names are numbers.

    Raises:
        ValueError: if there are too few classes, another split has classes without training
            images, a class is made of the names of others though the labels are single, or the
            order of ordinal classes is not known.
    """
    present = {split: _names(images) for split, images in splits.items()}
    trained = present.get("train", set())
    if not splits.get("train"):
        raise ValueError(f"{path} has no images to train on.")
    if len(trained) < (1 if labels == MULTI else 2):
        received = f"a single class, {min(trained)!r}" if trained else "no class"
        least = "a class" if labels == MULTI else "at least two classes"
        raise ValueError(f"{path} must have {least} to train on. Received: {received}.")
    if labels != MULTI:
        _check_single(path, trained)
    names = _in_order(path, trained, declared, labels, given)
    for split, found in present.items():
        if unknown := sorted(found.difference(names)):
            raise ValueError(
                f"{path} has classes in the {split} split without training images: "
                f"{', '.join(unknown)}."
            )
    return tuple(names)


def _names(images: Images) -> set[str]:
    return {name for image in images for name in image.class_names}


def _check_single(path: Path, names: set[str]) -> None:
    """Check that no name is made of other classes, such as `cat;dog` beside `cat` and `dog`."""
    for name in sorted(names):
        for separator in SEPARATORS:
            parts = split_names(name, separator)
            if len(parts) > 1 and names.issuperset(parts):
                raise ValueError(
                    f"{path} has images of several classes, such as {name!r}: train on them with "
                    "`--labels multi` (in Python labels='multi')."
                )


def _in_order(
    path: Path,
    names: set[str],
    declared: Sequence[str] | None,
    labels: str,
    given: Sequence[str] | None,
) -> list[str]:
    if given is not None:
        if set(given) != names or len(given) != len(names):
            raise ValueError(
                f"`class_names` must name each class of {path} once: {', '.join(sorted(names))}. "
                f"Received: {', '.join(given)}"
            )
        return list(given)
    if declared:
        return [name for name in declared if name in names]
    if labels != ORDINAL:
        return sorted(names)
    try:
        return sorted(names, key=float)
    except ValueError as error:
        raise ValueError(
            f"The order of ordinal classes must be known, and {path} has names that are not "
            f"numbers: {', '.join(sorted(names))}. Name them from low to high: `--class-names "
            f"LOW,...,HIGH` (in Python class_names=[...])."
        ) from error
