"""Texts with the names of several classes."""

import pytest

from cspdarknet.data.formats.class_lists import separator_of, split_names

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("texts", "separator", "names"),
    [
        (["cat;dog", "owl, barn", ""], ";", [("cat", "dog"), ("owl, barn",), ()]),
        (["cat|dog", "cat"], "|", [("cat", "dog"), ("cat",)]),
        (["cat, dog,cat", "owl"], ",", [("cat", "dog"), ("owl",)]),
        (["['cat', 'dog']", "[]"], ",", [("cat", "dog"), ()]),
        (["a b", "b c", "a c"], " ", [("a", "b"), ("b", "c"), ("a", "c")]),
        (["stop sign", "car"], "", [("stop sign",), ("car",)]),
        ([], " ", []),
    ],
)
def test_separators_and_names(texts, separator, names):
    assert separator_of(texts) == separator
    assert [split_names(text, separator) for text in texts] == names
