"""Images: decoding, checks, resizing, and listing of image files."""

from cspdarknet.images.arrays import as_image_array, center_crop
from cspdarknet.images.channels import (
    array_of_channels,
    crop_channels,
    map_planes,
    open_picture,
    pixels_of,
    read_channels,
)
from cspdarknet.images.checks import MAX_PIXELS, ImageError
from cspdarknet.images.decode import image_size, open_image, read_image, shrink, suffix_of
from cspdarknet.images.files import (
    IGNORED,
    SUFFIXES,
    ImageFile,
    find_images,
    has_image_suffix,
    is_left_out,
    walk,
    without_cached_arrays,
)
from cspdarknet.images.values import RGB, as_picture

__all__ = [
    "IGNORED",
    "MAX_PIXELS",
    "RGB",
    "SUFFIXES",
    "ImageError",
    "ImageFile",
    "array_of_channels",
    "as_image_array",
    "as_picture",
    "center_crop",
    "crop_channels",
    "find_images",
    "has_image_suffix",
    "image_size",
    "is_left_out",
    "map_planes",
    "open_image",
    "open_picture",
    "pixels_of",
    "read_channels",
    "read_image",
    "shrink",
    "suffix_of",
    "walk",
    "without_cached_arrays",
]
