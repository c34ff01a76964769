"""Boxes of COCO's run-length encoded masks, without decoding the pixels."""

from typing import Any

import numpy as np

Box = tuple[float, float, float, float]
# No mask of an image has more runs, or longer sides.
MAX_RUNS, MAX_SIDE, MAX_DIGITS = 1_000_000, 1_000_000, 9


def rle_box(mask: Any) -> Box | None:
    """Return the box around a mask: left, top, right and bottom; `None` if it is empty or damaged.

    Args:
        mask: a dict with `size` (height and width) and `counts`: the lengths of the runs of 0 and 1
            in turns, column by column, as a list or in COCO's compressed text.

    References:
        COCO API, `maskApi.c`, whose text holds five bits in each character, and differences to the
        run before the last one.

    Example:
        >>> rle_box({"size": [4, 6], "counts": [9, 2, 2, 2, 9]})
        (2.0, 1.0, 4.0, 3.0)
    """
    try:
        height, width = map(int, mask["size"])
        counts = mask["counts"]
        runs = np.array(_runs(counts) if isinstance(counts, str) else counts, "int64")
    except (TypeError, ValueError, KeyError, OverflowError):
        return None
    if not 0 < height < MAX_SIDE or not 0 < width < MAX_SIDE or runs.ndim != 1:
        return None
    if len(runs) > MAX_RUNS or (runs < 0).any() or runs.sum() != height * width:
        return None
    ends = runs.cumsum()
    starts, ends = (ends - runs)[1::2], ends[1::2]
    starts, ends = starts[ends > starts], ends[ends > starts]
    if not len(starts):
        return None
    first, last = starts // height, (ends - 1) // height
    is_tall = last > first  # it has the last pixel of a column and the first of the next
    top = np.where(is_tall, 0, starts % height).min()
    bottom = np.where(is_tall, height, (ends - 1) % height + 1).max()
    return float(first.min()), float(top), float(last.max() + 1), float(bottom)


def _runs(text: str) -> list[int]:
    """Decode COCO's compressed text."""
    runs: list[int] = []
    codes = iter(text.encode("ascii"))
    for code in codes:
        value = 0
        for position in range(MAX_DIGITS):
            value |= (code - 48 & 0x1F) << 5 * position
            if not code - 48 & 0x20:
                break
            code = next(codes, 48)
        else:
            raise ValueError("a run is longer than any image")
        if code - 48 & 0x10:
            value |= -1 << 5 * (position + 1)
        if len(runs) > 2:
            value += runs[-2]
        runs.append(value)
    return runs
