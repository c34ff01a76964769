"""Problems of a dataset, by kind, and the error that lists them."""

from pathlib import Path

import pytest

from cspdarknet.data import Problem
from cspdarknet.data.problems import KINDS, by_kind, check_problems, count_of

pytestmark = pytest.mark.one_backend

BOX = Problem("invalid box", Path("a.txt"), "the box has no area", "line 3")
NOTE = Problem("unused file", Path("d"), "readme.md is not used")


def test_groups_are_in_the_order_of_the_kinds():
    first = Problem("missing image", Path("b.jpg"), "there is no such image")
    assert list(by_kind([NOTE, BOX, first, BOX]).items()) == [
        ("missing image", [first]),
        ("invalid box", [BOX, BOX]),
        ("unused file", [NOTE]),
    ]


def test_notes_do_not_stop():
    check_problems(Path("d"), [NOTE] * 3)
    assert [KINDS[problem.kind].stops for problem in (BOX, NOTE)] == [True, False]
    message = r"^d: 1 problem in 1 file\.\n  a\.txt, line 3: the box has no area\nCorrect"
    with pytest.raises(ValueError, match=message):
        check_problems(Path("d"), [NOTE, BOX])
    with pytest.raises(ValueError, match=r"7 problems in 1 file(.|\n)*and 2 more"):
        check_problems(Path("d"), [BOX] * 7)


def test_counts_with_their_nouns():
    assert (count_of(1, "file"), count_of(0, "file")) == ("1 file", "0 files")
    assert count_of(2, "box", "boxes") == "2 boxes"
