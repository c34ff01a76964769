"""The image files of a dataset that is written: their sizes, and copies of them."""

import os
import shutil
from pathlib import Path

from cspdarknet._stored_images import StoredImage
from cspdarknet.images import image_size


class ImageFiles:
    """Sizes and copies of image files.

    Args:
        link: whether hard links are made instead of copies, where the file system can.
    """

    def __init__(self, link: bool = False) -> None:
        self._link = link
        self._sizes: dict[Path, tuple[int, int]] = {}

    def size(self, path: Path) -> tuple[int, int]:
        """Return width and height of an image file, read once.

        Raises:
            ImageError: (a `ValueError`) If it is not an image.
        """
        if path not in self._sizes:
            self._sizes[path] = image_size(path)
        return self._sizes[path]

    def copy(self, path: Path, target: Path) -> None:
        """Copy an image byte for byte, or link it."""
        if isinstance(path, StoredImage):
            target.write_bytes(path.read_bytes())
            return
        source = os.path.realpath(path)
        if self._link:
            try:
                os.link(source, target)
                return
            except OSError:  # another file system, or one without hard links
                target.unlink(missing_ok=True)
        shutil.copyfile(source, target)
