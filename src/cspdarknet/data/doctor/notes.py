"""Notes on the classes, boxes and splits of a dataset, as sentences."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from cspdarknet._image_size import ImageSize, to_text
from cspdarknet.data.doctor.duplicates import DuplicateGroup
from cspdarknet.data.doctor.summary import TINY_SIDES, SplitSummary

IMBALANCE = 10  # ratio of the most frequent to the rarest class
FEW_IMAGES = 10  # of a class
SHOWN_CLASSES = 8


def notes_about(
    class_names: Sequence[str],
    splits: Mapping[str, SplitSummary],
    image_size: ImageSize,
    groups: Sequence[DuplicateGroup],
) -> Iterator[str]:
    """Yield sentences about what may need attention.

    Args:
        class_names: names of the classes.
        splits: numbers of images and boxes of each split.
        image_size: side of the square that images are letterboxed to, or height and width.
        groups: images that are the same or almost the same.
    """
    if "train" in splits:
        yield from _class_notes(class_names, splits)
    if boxes := sum(summary.boxes for summary in splits.values()):
        yield from _box_notes(splits, boxes, image_size)
    if empty := sum(summary.empty_images for summary in splits.values()):
        images = sum(summary.images for summary in splits.values())
        yield f"Images without boxes, which are negative examples: {_of(empty, images)}."
    yield from _split_notes(splits, groups)


def _class_notes(class_names: Sequence[str], splits: Mapping[str, SplitSummary]) -> Iterator[str]:
    train = splits["train"]
    noun = "boxes" if train.class_boxes else "images"
    counts = np.array(train.class_boxes or train.class_images)
    present = np.flatnonzero(counts).tolist()
    if len(present) > 1:
        most, least = (pick(present, key=lambda i: counts[i]) for pick in (max, min))
        ratio = counts[most] / counts[least]
        if ratio >= IMBALANCE:
            yield (
                f"Class imbalance {ratio:.0f} to 1: {counts[most]:,} training {noun} of "
                f"{class_names[most]}, {counts[least]:,} of {class_names[least]}."
            )
    images = np.array(train.class_images)
    missing = _where(images == 0, class_names)
    rare = _where((images > 0) & (images < FEW_IMAGES), class_names)
    if missing:
        yield f"Without training {noun}: {_listed(missing)}."
    if rare:
        yield f"In fewer than {FEW_IMAGES} training images: {_listed(rare)}."
    for split, summary in splits.items():
        if split == "train":
            continue
        absent = np.array(summary.class_images) == 0
        if untested := _where((images > 0) & absent, class_names):
            yield f"Not in the {split} split, so not measured there: {_listed(untested)}."


def _box_notes(
    splits: Mapping[str, SplitSummary], boxes: int, image_size: ImageSize
) -> Iterator[str]:
    for side in TINY_SIDES:
        tiny = sum(sum((summary.tiny_boxes or {})[side]) for summary in splits.values())
        if tiny:
            yield (
                f"Boxes with a shorter side under {side} pixels at the image size "
                f"{to_text(image_size)}: {_of(tiny, boxes)}."
            )


def _split_notes(
    splits: Mapping[str, SplitSummary], groups: Sequence[DuplicateGroup]
) -> Iterator[str]:
    if "train" not in splits or "validation" in splits:
        return
    text = "There is no validation split: a training sets a fraction of the images aside"
    if groups:
        text += ", and copies of one image may be on both sides"
    yield f"{text}."


def _of(count: int, total: int) -> str:
    return f"{count:,} of {total:,} ({count / total:.1%})"


def _where(mask: np.ndarray, names: Sequence[str]) -> list[str]:
    return [name for name, chosen in zip(names, mask.tolist(), strict=True) if chosen]


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:SHOWN_CLASSES])
    more = len(names) - SHOWN_CLASSES
    return f"{shown} and {more} more" if more > 0 else shown
