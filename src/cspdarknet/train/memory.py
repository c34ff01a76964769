"""Errors of a training that does not fit into memory."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from cspdarknet._image_size import of_sides, sides, to_text
from cspdarknet.train.recipe import BaseRecipe, Phase

# What backends say, in errors of classes of their own: PyTorch on processors and on GPUs, JAX and
# TensorFlow.
MESSAGES = (
    *("can't allocate memory", "not enough memory", "out of memory", "RESOURCE_EXHAUSTED"),
    *("OOM when allocating", "could not create a memory object"),
)
SMALLER = 0.75  # the image size that is proposed, as a fraction of the present one


@contextlib.contextmanager
def memory_errors(recipe: BaseRecipe, phase: Phase, epochs: int, run: Path) -> Iterator[None]:
    """Say what to change where memory runs out inside this context.

    Args:
        recipe: the recipe of the training.
        phase: the present phase.
        epochs: number of finished epochs.
        run: the run folder.

    Raises:
        ValueError: if memory has run out, whatever the backend raises then.
    """
    try:
        yield
    except Exception as error:
        if not is_about_memory(error):
            raise
        finished = f"Epochs up to {epochs} are kept in {run}. " if epochs else ""
        height, width = sides(phase.image_size)
        start = f" and `--model {run}`" if epochs else ""
        raise ValueError(
            f"The memory does not suffice for batches of {recipe.batch_size} images of "
            f"{height} x {width} pixels, in epoch {epochs + 1}. {finished}"
            f"Train in a new folder with {_remedies(recipe)}{start}."
        ) from error


def is_about_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that led to it, is about memory."""
    if error is None:
        return False
    is_one = isinstance(error, MemoryError) or any(text in str(error) for text in MESSAGES)
    return is_one or is_about_memory(error.__cause__ or error.__context__)


def _remedies(recipe: BaseRecipe) -> str:
    """Return the options that need less memory."""
    remedies = []
    if recipe.batch_size > 1:
        size = recipe.batch_size // 2
        batches = recipe.accumulate * -(-recipe.batch_size // size)
        remedies.append(f"`--batch-size {size} --accumulate {batches}` (steps as large as before)")
    multiple = recipe.image_size_multiple
    height, width = (
        int(side * SMALLER) // multiple * multiple for side in sides(recipe.phases[-1].image_size)
    )
    if height and width:
        remedies.append(f"`--image-size {to_text(of_sides(height, width))}`")
    return " or ".join([*remedies, "a smaller model"])
