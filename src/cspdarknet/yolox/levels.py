"""The pyramid levels of a detector: those that it predicts on, and those that its neck fuses.

Level Pn has a stride of 2^n pixels. The stages of the backbone are P2, P3 and so on; a level above
the last stage is a stride-2 block on it, as P6 of RetinaNet is
(https://arxiv.org/abs/1708.02002, footnote 2; on C5).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from reprlib import repr as shortened
from typing import Any, Self

NUM_LEVELS = 3  # of YOLOX: the deepest ones, of strides 8, 16 and 32
FIRST_LEVEL, LAST_LEVEL = 2, 6
# The neck's layers have the names of YOLOX's levels: the last stage of the backbone is p5 in them.
LAST_STAGE_IN_NAMES = 5


@dataclass(frozen=True)
class Pyramid:
    """The levels of a detector on a backbone.

    The neck fuses all levels from the lowest one of `levels` to the highest one or to the last
    stage of the backbone, whichever is higher, so that each level sees the deepest features.

    Attributes:
        levels: names of the levels that are predicted on, the largest feature map first.
        num_stages: number of stages of the backbone.

    Example:
        >>> pyramid = Pyramid.of(None, num_stages=4)
        >>> pyramid.levels, pyramid.strides
        (('P3', 'P4', 'P5'), (8, 16, 32))
        >>> Pyramid.of(["P2", "P3"], num_stages=4).fused
        ('P2', 'P3', 'P4', 'P5')
    """

    levels: tuple[str, ...]
    num_stages: int

    @classmethod
    def of(cls, levels: Any, num_stages: int) -> Self:
        """Return the pyramid of these levels; `None` stands for the deepest three stages.

        Raises:
            ValueError: if `levels` are not consecutive levels from P2 to P6.
        """
        if levels is None:
            return cls(_names(num_stages + 2 - NUM_LEVELS, num_stages + 1), num_stages)
        return cls(check_levels(levels, num_stages), num_stages)

    @property
    def is_yolox(self) -> bool:
        """Whether these are the levels of YOLOX: the deepest three stages of the backbone."""
        return self == self.of(None, self.num_stages)

    @property
    def strides(self) -> tuple[int, ...]:
        """Stride in pixels of each of `levels`."""
        return tuple(2 ** _number(level) for level in self.levels)

    @property
    def fused(self) -> tuple[str, ...]:
        """Names of the levels that the neck fuses, the largest feature map first."""
        last = max(self.num_stages + 1, _number(self.levels[-1]))
        return _names(_number(self.levels[0]), last)

    @property
    def largest_stride(self) -> int:
        """Stride in pixels of the smallest feature map; sides of images are multiples of it."""
        return int(2 ** _number(self.fused[-1]))

    @property
    def neck_names(self) -> tuple[str, ...]:
        """Name in the neck's layers of each of `fused`, such as `"p3"`."""
        shift = LAST_STAGE_IN_NAMES - (self.num_stages + 1)
        return tuple(f"p{_number(level) + shift}" for level in self.fused)

    @property
    def num_extra(self) -> int:
        """Number of the levels of `fused` above the last stage of the backbone."""
        return sum(_number(level) > self.num_stages + 1 for level in self.fused)

    @property
    def neck_blocks(self) -> tuple[str, ...]:
        """Names of the blocks of the neck in the order of the forward pass."""
        names = self.neck_names
        extra = [f"{name}_conv" for name in names[len(names) - self.num_extra :]]
        top_down = [
            block
            for lower, upper in reversed(list(pairwise(names)))
            for block in (f"{upper}_lateral", f"{lower}_csp")
        ]
        bottom_up = [
            block
            for lower, upper in pairwise(names[: len(self.levels)])
            for block in (f"n{lower[1:]}_down", f"n{upper[1:]}_csp")
        ]
        return (*extra, *top_down, *bottom_up)

    def channels(self, stackwise_channels: Sequence[int]) -> list[int]:
        """Return the number of channels of each of `fused`, given those of the stages."""
        last = len(stackwise_channels) - 1
        return [stackwise_channels[min(_number(x) - FIRST_LEVEL, last)] for x in self.fused]


def check_levels(levels: Any, num_stages: int = LAST_LEVEL - 1) -> tuple[str, ...]:
    """Accept one or more consecutive levels, the largest feature map first.

    Args:
        levels: names of levels.
        num_stages: number of stages of the backbone, whose levels may go beyond P6.

    Raises:
        ValueError: if they are something else.
    """
    known = _names(FIRST_LEVEL, max(LAST_LEVEL, num_stages + 1))
    rule = (
        f"`levels` must be one or more consecutive pyramid levels of {known[0]} to {known[-1]}, "
        "the largest feature map first, such as ('P2', 'P3', 'P4', 'P5')"
    )
    is_sequence = isinstance(levels, Iterable) and not isinstance(levels, (str, bytes, set, dict))
    names = tuple(levels) if is_sequence else ()
    received = f"Received: levels={shortened(names if is_sequence else levels)}"
    if not names:
        raise ValueError(f"{rule}. {received}")
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise ValueError(f"{rule}. {received}: {shortened(name)} is not one of them.")
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"{rule}. {received}: give {repeated} once.")
    ordered = tuple(sorted(names, key=_number))
    run = _names(_number(ordered[0]), _number(ordered[-1]))
    if missing := [name for name in run if name not in names]:
        raise ValueError(f"{rule}. {received}: add {', '.join(missing)}, or leave levels out.")
    if names != ordered:
        raise ValueError(f"{rule}. {received}: pass {ordered}.")
    return names


def _number(level: str) -> int:
    return int(level[1:])


def _names(first: int, last: int) -> tuple[str, ...]:
    return tuple(f"P{number}" for number in range(first, last + 1))
