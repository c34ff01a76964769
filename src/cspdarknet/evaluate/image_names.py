"""`ImageNames`: the images of a dataset by what other tools call them."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any


class ImageNames:
    """Finds images by a path, a file name, a name without its suffix, or the number in it.

    Args:
        paths: the image files.

    Example:
        >>> names = ImageNames([Path("a/007.jpg"), Path("a/x.jpg"), Path("b/x.jpg")])
        >>> names.index("007.jpg"), names.index("007"), names.index(7), names.index("b/x.jpg")
        (0, 0, 0, 2)
        >>> names.index("c.jpg") is None
        True
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self._by_name: dict[str, list[int]] = defaultdict(list)
        self._by_stem: dict[str, list[int]] = defaultdict(list)
        self._by_number: dict[int, list[int]] = defaultdict(list)
        for i, path in enumerate(self._paths):
            self._by_name[path.name].append(i)
            self._by_stem[path.stem].append(i)
            if path.stem.isdecimal():
                self._by_number[int(path.stem)].append(i)

    def index(self, reference: Any) -> int | None:
        """Return the index of an image; `None` if there is none of this name.

        Raises:
            ValueError: if there are several.
        """
        given = str(reference).replace("\\", "/")
        name = PurePosixPath(given).name
        found = self._by_name.get(name) or self._by_stem.get(name) or []
        if not found and given.isdecimal():
            found = self._by_number.get(int(given), [])
        if len(found) > 1:
            found = self._below(given, found)
        if len(found) > 1:
            raise ValueError(
                f"An image id must name one image. Received: {reference!r}, which "
                f"{self._paths[found[0]]} and {self._paths[found[1]]} are called."
            )
        return found[0] if found else None

    def _below(self, given: str, found: Sequence[int]) -> list[int]:
        """Return the images whose paths end in the given one."""
        parts = PurePosixPath(given).with_suffix("").parts
        ends = {i: self._paths[i].absolute().with_suffix("").parts[-len(parts) :] for i in found}
        return [i for i, end in ends.items() if end == parts]
