"""`CopyFolder`: names of annotated copies of images and videos in a folder."""

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path

from cspdarknet._unfinished import make_folder
from cspdarknet.visualize import PICTURE_SUFFIXES

IMAGE_SUFFIXES = PICTURE_SUFFIXES  # of annotated copies, the default first
VIDEO_SUFFIXES = (".mp4",)
RESULTS_MARKER = ".detections"  # marks a folder of annotated copies, for `find_images`


class CopyFolder:
    """A folder of annotated copies, each of which has a name of its own.

    A copy has the name of the original, with a suffix that can be written: that of `scan.bmp` is
    `scan.bmp.jpg`. Where another copy has this name, also in other cases of its letters, the
    suffix is repeated.

    Args:
        path: the folder. It is created with the first copy.

    Attributes:
        replaced: number of copies that were there already when they were prepared.

    Example:
        >>> folder = CopyFolder("copies")
        >>> folder.add([Path("a.webp"), Path("a.webp.jpg"), Path("b.png")], IMAGE_SUFFIXES)
        >>> [folder.target(Path(key)).name for key in ("a.webp", "a.webp.jpg", "b.png")]
        ['a.webp.jpg.jpg', 'a.webp.jpg', 'b.png']
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.replaced = 0
        self._names: dict[Path, Path] = {}
        self._taken: set[str] = set()

    def add(self, keys: Iterable[Path], suffixes: tuple[str, ...]) -> None:
        """Choose the names of copies.

        Args:
            keys: paths of the originals relative to their source. Known ones keep their names.
            suffixes: suffixes that can be written, the default first.
        """
        new = [key for key in dict.fromkeys(keys) if key not in self._names]
        # Originals that keep their names choose first.
        for key in sorted(new, key=lambda key: key.suffix.lower() not in suffixes):
            name = key
            while name.suffix.lower() not in suffixes or _folded(name) in self._taken:
                name = name.with_name(name.name + suffixes[0])
            self._names[key] = name
            self._taken.add(_folded(name))

    def target(self, key: Path) -> Path:
        """Return the path of a copy."""
        return self.path / self._names[key]

    def prepare(self, key: Path) -> Path:
        """Return the path of a copy after creating its folder, and mark that as results."""
        target = self.target(key)
        self.replaced += os.path.exists(target)  # noqa: PTH110
        make_folder(target.parent)
        (self.path / RESULTS_MARKER).touch()
        return target

    def check_replaceable(self) -> None:
        """Check that no copy replaces a file that is not a copy of an earlier run.

        Raises:
            ValueError: if one would.
        """
        if (self.path / RESULTS_MARKER).exists():
            return
        for target in map(self.target, self._names):
            if os.path.exists(target):  # noqa: PTH110  (a name that is too long is not an error)
                raise ValueError(
                    f"{target} exists, and is not a copy of an earlier run: choose another folder."
                )


def _folded(name: Path) -> str:
    """Return what a file system that ignores case and Unicode forms knows a name by."""
    return unicodedata.normalize("NFC", str(name)).casefold()
