"""Check of a dataset's image files before they are used."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from cspdarknet._prefetch import prefetch_map, thread_pool
from cspdarknet.data.dataset import AnyDataset
from cspdarknet.data.problems import Problem
from cspdarknet.images import RGB, ImageError, read_channels, read_image

# A size smaller than any training uses: the decoder skips most of its work, and still reads every
# byte.
CHECKED_SIDE = 64


def check_images(
    dataset: AnyDataset,
    workers: int,
    advance: Callable[[], None] = lambda: None,
    channels: int = RGB,
) -> tuple[AnyDataset, list[Problem]]:
    """Decode each image once, and leave out those that cannot be decoded.

    Args:
        dataset: images with their annotations.
        workers: number of threads.
        advance: called after each image, for a progress bar.
        channels: number of channels that the images must have.

    Returns:
        The dataset of the images that can be used, in their order, and a `Problem` for each of the
        others.
    """
    usable, problems = [], []
    problem_of = partial(_problem_of, channels=channels)
    with thread_pool(workers) as pool:
        for i, problem in enumerate(prefetch_map(problem_of, dataset.paths, pool, 2 * workers)):
            if problem is None:
                usable.append(i)
            else:
                problems.append(problem)
            advance()
    return (dataset.take(usable) if problems else dataset), problems


def _problem_of(path: Path, channels: int) -> Problem | None:
    try:
        if channels == RGB:
            read_image(path, CHECKED_SIDE)
        else:
            read_channels(path, channels, CHECKED_SIDE)
    except ImageError as error:
        return Problem("unreadable image", path, str(error).removeprefix(f"{path}: "))
    return None
