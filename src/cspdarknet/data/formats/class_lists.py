"""Texts with the names of several classes, such as `cat;dog`."""

from collections.abc import Iterable

SEPARATORS = (";", "|", ",")
QUOTES = " '\""


def separator_of(values: Iterable[str]) -> str:
    """Return what separates the class names in a column of texts.

    It is the first of `;`, `|` and `,` that is in any of them. Else it is a space if the words
    repeat, so that they are no more than the different texts; names may have spaces themselves.

    Returns:
        The separator; empty if each text is one name.

    Example:
        >>> separator_of(["haze primary", "primary", "haze"]), separator_of(["stop sign", "car"])
        (' ', '')
    """
    texts = {value for value in values if value}
    for separator in SEPARATORS:
        if any(separator in text for text in texts):
            return separator
    words = {word for text in texts for word in text.split()}
    return " " if len(words) <= len(texts) else ""


def split_names(text: str, separator: str) -> tuple[str, ...]:
    """Return the class names in a text, each once. A list of Python is such a text, too.

    Example:
        >>> split_names("cat; dog", ";"), split_names("['cat', 'dog']", ","), split_names("", ";")
        (('cat', 'dog'), ('cat', 'dog'), ())
    """
    if text.startswith("[") and text.endswith("]"):
        text = text[1:-1]
    names = text.split(separator) if separator else [text]
    return tuple(dict.fromkeys(name for part in names if (name := part.strip(QUOTES))))
