"""Find the files that cannot be used as photos before they are needed."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self, TypeVar

from cspdarknet.images import ImageError, read_image

# Smaller than any photo is used at: a decoder then skips most of its work, yet reads every byte.
CHECK_SIDE = 64


class Photos(Protocol):
    """Photos of a data set, whatever is known of them."""

    @property
    def paths(self) -> tuple[Path, ...]:
        """The files."""

    def __len__(self) -> int: ...

    def take(self, indices: Sequence[int]) -> Self:
        """Return the photos at these places."""


AnyPhotos = TypeVar("AnyPhotos", bound=Photos)


@dataclass(frozen=True)
class Skipped:
    """A file that is left out, and why."""

    path: Path
    reason: str


def check_images(
    photos: AnyPhotos, workers: int, advance: Callable[[], None] = lambda: None
) -> tuple[AnyPhotos, list[Skipped]]:
    """Decode every photo once; return those that can be used, and those that cannot.

    Args:
        photos: the photos.
        workers: number of threads.
        advance: called after each photo, for a progress bar.

    Returns:
        The usable photos in their order, and a list of `Skipped`.
    """
    good, skipped = [], []
    with ThreadPoolExecutor(workers) as pool:
        for i, reason in enumerate(pool.map(_problem, photos.paths)):
            if reason is None:
                good.append(i)
            else:
                skipped.append(Skipped(photos.paths[i], reason))
            advance()
    return (photos.take(good) if skipped else photos), skipped


def _problem(path: Path) -> str | None:
    try:
        read_image(path, CHECK_SIDE)
    except ImageError as error:
        return str(error).removeprefix(f"{path}: ")
    return None
