"""Sizes of the images that a model takes: the side of squares, or height and width."""

from typing import Any

from cspdarknet._arguments import MAX_IMAGE_SIZE, is_integer

# The side of squares; or height and width, where they differ.
ImageSize = int | tuple[int, int]


def check_image_size(
    size: Any, multiple: int = 1, reason: str = "", name: str = "image_size"
) -> ImageSize:
    """Accept the side of a square, or a pair (height, width), which is a side if both are equal.

    Args:
        size: the value.
        multiple: what each side must be a multiple of.
        reason: where that comes from, for the message.
        name: the argument's name, for the message.

    Raises:
        ValueError: if it is something else, or out of range.

    Example:
        >>> check_image_size([384, 640], 32), check_image_size((64, 64))
        ((384, 640), 64)
    """
    pair = list(size) if isinstance(size, (list, tuple)) else [size, size]
    if len(pair) != 2 or not all(is_integer(side) and 1 <= side <= MAX_IMAGE_SIZE for side in pair):
        raise ValueError(
            f"`{name}` must be an integer, at least 1 and at most {MAX_IMAGE_SIZE}, or a pair of "
            f"them: height and width. Received: {name}={size!r}"
        )
    height, width = (int(side) for side in pair)
    if height % multiple or width % multiple:
        near = [max(1, round(side / multiple)) * multiple for side in (height, width)]
        raise ValueError(
            f"`{name}` must be a multiple of {multiple}{reason}. Received: {name}={size!r}: "
            f"choose {of_sides(*near)}, for example."
        )
    return of_sides(height, width)


def of_sides(height: int, width: int) -> ImageSize:
    """Return the image size of a height and width."""
    return height if height == width else (height, width)


def sides(size: ImageSize) -> tuple[int, int]:
    """Return height and width of an image size."""
    return (size, size) if isinstance(size, int) else size


def scaled(size: ImageSize, factor: float, multiple: int) -> ImageSize:
    """Return an image size times a factor, rounded to multiples of a number, and at least that.

    The shorter side is rounded, and the longer one follows from it: of all multiples, the one that
    keeps the ratio of the sides best.

    Example:
        >>> scaled((384, 640), 0.5, 32), scaled(416, 0.77, 32)
        ((192, 320), 320)
    """
    height, width = sides(size)
    shorter = min(height, width)
    steps = max(1, round(shorter * factor / multiple))
    return of_sides(*(round(side / shorter * steps) * multiple for side in (height, width)))


def num_pixels(size: ImageSize) -> int:
    """Return the number of pixels of an image of a size."""
    height, width = sides(size)
    return height * width


def to_json(size: ImageSize | None) -> Any:
    """Return an image size as JSON types."""
    return list(size) if isinstance(size, tuple) else size


def to_text(size: ImageSize) -> str:
    """Return an image size as text, such as `"640"` or `"384x640"`: height, then width."""
    return f"{size}" if isinstance(size, int) else f"{size[0]}x{size[1]}"


def parse_image_size(text: str) -> ImageSize:
    """Return the image size of a text, as of `to_text`.

    Raises:
        ValueError: if it is not one.

    Example:
        >>> parse_image_size("640"), parse_image_size("384x640")
        (640, (384, 640))
    """
    parts = text.lower().replace("×", "x").split("x")
    if len(parts) > 2 or not all(part.strip().isdecimal() for part in parts):
        raise ValueError(
            "An image size must be a number of pixels, such as 640, or height and width, such as "
            f"384x640. Received: {text}"
        )
    numbers = [int(part) for part in parts]
    return check_image_size(numbers[0] if len(numbers) == 1 else numbers)
