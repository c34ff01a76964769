"""The worker's use of image files: reads their size, and decodes them in each of the ways."""

import warnings

import numpy as np

from cspdarknet.images import ImageError, image_size, open_image, read_image

MAX_MESSAGE = 500  # characters beside the name of the file


class WrongImageError(Exception):
    """What was decoded is not an image, or is not of the size that the file was said to have."""


class BadMessageError(Exception):
    """The error of a file that was refused is no line with its name."""


def prepare(_):
    """Return the use of image files."""
    warnings.simplefilter("ignore")

    def use(path, call):
        try:
            if call == "size":
                image_size(path)
            elif call == "crop":
                _check(np.asarray(open_image(path, shorter_side=64)))
            else:
                _check(read_image(path, 640 if call == "shrink" else None))
        except ImageError as error:
            return _refused(error, path)
        return "read"

    return use


def _check(pixels):
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise WrongImageError(f"{pixels.dtype} {pixels.shape}")


def _refused(error, path):
    message = str(error)
    bounded = len(message) <= len(str(path)) + MAX_MESSAGE and len(message.splitlines()) == 1
    if not bounded or not message.startswith(f"{path}: "):
        raise BadMessageError(message[:1000]) from error
    return "refused"
