"""Names of the 1000 classes of ImageNet, in the order of the outputs of published classifiers."""

from functools import cache
from pathlib import Path

COUNT = 1000


@cache
def imagenet_names() -> tuple[str, ...]:
    """Return the names: the first word of each synset in WordNet, with a hint where two are alike.

    Example:
        >>> imagenet_names()[1]
        'goldfish'
    """
    path = Path(__file__).parent / "imagenet_names.txt"
    return tuple(path.read_text(encoding="utf-8").splitlines())
