"""Notes on the classes, boxes and splits of a dataset."""

import pytest

from cspdarknet.data.doctor.notes import notes_about
from cspdarknet.data.doctor.summary import SplitSummary

pytestmark = pytest.mark.one_backend


def notes(names, splits, groups=()):
    return list(notes_about(names, splits, 416, groups))


def labeled(*counts):
    return SplitSummary(sum(counts), 0, 0, counts)


def annotated(counts, tiny=(0, 0), empty=0):
    rest = (0,) * (len(counts) - 1)
    rows = {8: (tiny[0], *rest), 2: (tiny[1], *rest)}
    return SplitSummary(sum(counts), empty, sum(counts), counts, counts, rows)


def test_balanced_classes_need_no_note():
    assert notes(["cat", "dog"], {"train": labeled(50, 60), "validation": labeled(5, 6)}) == []


def test_rare_and_missing_classes():
    splits = {"train": labeled(400, 9, 0), "validation": labeled(5, 0, 1)}
    assert notes(["cat", "dog", "emu"], splits) == [
        "Class imbalance 44 to 1: 400 training images of cat, 9 of dog.",
        "Without training images: emu.",
        "In fewer than 10 training images: dog.",
        "Not in the validation split, so not measured there: dog.",
    ]


def test_small_boxes_and_images_without_boxes():
    train = annotated((30, 20), tiny=(5, 1), empty=10)
    assert notes(["cell", "worm"], {"train": train, "validation": annotated((25, 25))}) == [
        "Boxes with a shorter side under 8 pixels at the image size 416: 5 of 100 (5.0%).",
        "Boxes with a shorter side under 2 pixels at the image size 416: 1 of 100 (1.0%).",
        "Images without boxes, which are negative examples: 10 of 100 (10.0%).",
    ]


def test_many_classes_are_not_all_listed():
    names = [f"c{i}" for i in range(12)]
    (note,) = notes(names, {"train": labeled(*[5] * 12), "validation": labeled(*[5] * 12)})
    assert note == "In fewer than 10 training images: c0, c1, c2, c3, c4, c5, c6, c7 and 4 more."


def test_similar_images_may_be_divided_where_there_is_no_validation_split():
    (note,) = notes(["a", "b"], {"train": labeled(20, 20)}, groups=["a group"])
    assert note.endswith("aside, and copies of one image may be on both sides.")
    (note,) = notes(["a", "b"], {"train": labeled(20, 20)})
    assert note.endswith("aside.")
