"""Images of a dataset in memory, written as files."""

import io
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from cspdarknet._files import write_whole
from cspdarknet.data.sources.samples import as_array
from cspdarknet.images import ImageError, as_image_array, has_image_suffix, suffix_of

# Modes of Pillow that a PNG file holds without loss.
PNG_MODES = ("1", "L", "LA", "P", "RGB", "RGBA")
# It marks a folder of such images, which may be written again.
MARKER = ".cspdarknet-images"
# Temporary folders, which are removed at exit.
_temporary: list[tempfile.TemporaryDirectory[str]] = []


class ImageStore:
    """Writes images to a folder, as lossless PNG files or in their original bytes.

    Args:
        folder: the folder, new or empty, or one that was written in this way; `None` for a
            temporary one, which is removed at exit. It is made when there is an image to write.
        base: folder that relative paths of images are relative to.

    Example:
        >>> store = ImageStore("written")
        >>> store.path(np.zeros((2, 3, 3), "uint8"), "train", 0)
        PosixPath('written/train/00000000.png')
    """

    def __init__(self, folder: str | Path | None = None, base: str | Path = "") -> None:
        self._folder = None if folder is None else Path(folder)
        self._base = Path(base)
        self._is_ready = False

    def path(self, image: Any, split: str, index: int, upright: bool = True) -> Path:
        """Return the file of an image, written if it is not a file yet.

        Args:
            image: a path, the bytes of a file, a dict with one of these under `"path"` and
                `"bytes"`, a Pillow image, an array `(height, width, 3)`, or a tensor
                `(3, height, width)`.
            split: the split that it is of.
            index: its index.
            upright: whether the EXIF orientation of a Pillow image is applied.

        Raises:
            ValueError: if it is none of these.
        """
        name = f"{split}/{index:08d}"
        if isinstance(image, Mapping):
            content, path = image.get("bytes"), image.get("path")
            if content is None and path:
                return self._base / path
            suffix = os.path.splitext(str(path or ""))[1]  # noqa: PTH122  (it may be no path)
            return self._write_bytes(content, name, suffix)
        if isinstance(image, (str, os.PathLike)):
            return self._base / os.fspath(image)
        if isinstance(image, (bytes, bytearray, memoryview)):
            return self._write_bytes(image, name, "")
        picture = _picture(image, upright)
        target = self._target(f"{name}.png")
        write_whole(target, lambda file: picture.save(file, "PNG", compress_level=1, exif=b""))
        return target

    def _write_bytes(self, content: Any, name: str, suffix: str) -> Path:
        if not isinstance(content, (bytes, bytearray, memoryview)):
            raise ImageError(f"An image must have `bytes` or a `path`. Received: {type(content)}")
        if not has_image_suffix(f"a{suffix}"):
            suffix = suffix_of(io.BytesIO(content))
        target = self._target(f"{name}{suffix.lower()}")
        write_whole(target, lambda file: file.write_bytes(content))
        return target

    def _target(self, name: str) -> Path:
        if not self._is_ready:
            self._prepare()
        assert self._folder is not None
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _prepare(self) -> None:
        if self._folder is None:
            temporary = tempfile.TemporaryDirectory(
                prefix="cspdarknet-images-", ignore_cleanup_errors=True
            )
            _temporary.append(temporary)
            self._folder = Path(temporary.name)
        elif _is_foreign(self._folder):
            raise ValueError(
                "`images_folder` must be a new or an empty folder, or one that was written in this "
                f"way. Received: {self._folder}"
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / MARKER).touch()
        self._is_ready = True


def _is_foreign(folder: Path) -> bool:
    if not folder.is_dir():
        return folder.exists()
    return not (folder / MARKER).exists() and any(folder.iterdir())


def _picture(image: Any, upright: bool) -> Image.Image:
    """Return a Pillow image that a PNG file holds without loss."""
    if isinstance(image, Image.Image):
        picture = ImageOps.exif_transpose(image) if upright else image
        if picture.mode in PNG_MODES:
            return picture
        return Image.fromarray(as_image_array(picture))
    return Image.fromarray(as_image_array(_channels_last(image)))


def _channels_last(image: Any) -> np.ndarray:
    """Return an array with three channels, from PyTorch's tensors, too."""
    is_tensor = hasattr(image, "detach")
    array = as_array(image)
    if is_tensor and array.ndim == 3 and array.shape[0] in (1, 3):
        array = array.transpose(1, 2, 0)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim == 3 and array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    if is_tensor and array.dtype.kind == "f" and array.size and array.min() >= 0:
        # torchvision's float images are in 0..1.
        return array * 255 if array.max() <= 1 else array
    return array
