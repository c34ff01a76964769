"""Unique names of image files, which every format and file system can hold."""

import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from cspdarknet.images import has_image_suffix, suffix_of

# Characters that Windows refuses, that annotation files take for another one, or that are invisible
# or not text.
UNSAFE = re.compile(r'[\\/:*?"<>|\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]')
# Files are named `stem.suffix`, and most file systems allow 255 bytes.
MAX_STEM_BYTES = 200
# Stems of files that have a meaning of their own in a dataset.
RESERVED = ("classes", "_classes", "labels", "names", "predefined_classes", "data", "dataset")


class UniqueNames:
    """File names for images, no two of which differ in case or in the suffix only.

    Annotation files are named after the stem of their image, and some file systems ignore case.

    Example:
        >>> names = UniqueNames()
        >>> for name in ("cat/1.JPG", "dog/1.png", "dog/1-2.png"):
        ...     Path(name).parent.mkdir(exist_ok=True)
        ...     Path(name).touch()
        >>> [names.add(Path(name)) for name in ("cat/1.JPG", "dog/1.png", "dog/1-2.png")]
        ['1.JPG', '1-2.png', '1-2-2.png']
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._counts: dict[str, int] = {}

    def add(self, path: Path) -> str:
        """Return the name of an image file, that of its path where possible."""
        stem, suffix = _safe_stem(path), _suffix(path)
        name, key = stem, _key(stem)
        while _key(name) in self._taken:
            self._counts[key] = self._counts.get(key, 1) + 1
            name = f"{stem}-{self._counts[key]}"
        self._taken.add(_key(name))
        return name + suffix

    def add_all(self, paths: Iterable[Path]) -> list[str]:
        """Return the names of several image files, in their order."""
        return [self.add(path) for path in paths]


def _key(name: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def _safe_stem(path: Path) -> str:
    stem = UNSAFE.sub("_", path.stem if has_image_suffix(path) else path.name)
    stem = stem.encode()[:MAX_STEM_BYTES].decode(errors="ignore")
    stem = re.sub(r"^[\s.~]+|[\s.]+$", "_", stem) or "_"
    base, dot, ending = stem.rpartition(".")
    # A name without its suffix must not seem to have another one.
    if dot and (has_image_suffix(stem) or ending.lower() in ("xml", "txt", "json")):
        stem = f"{base}_{ending}"
    return f"{stem}_" if stem.lower() in RESERVED else stem


def _suffix(path: Path) -> str:
    """Return the suffix of an image file; of a file without one, that of its content."""
    return path.suffix if has_image_suffix(path) else suffix_of(path)
