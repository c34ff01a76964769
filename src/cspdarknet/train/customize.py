"""Recipes with some values replaced."""

import dataclasses
from typing import Any, TypeVar

from cspdarknet._arguments import check_count
from cspdarknet._image_size import ImageSize, check_image_size, of_sides, scaled, sides
from cspdarknet.train.recipe import BaseRecipe, Phase

AnyRecipe = TypeVar("AnyRecipe", bound=BaseRecipe)


def customize(
    recipe: AnyRecipe,
    epochs: int | None = None,
    image_size: ImageSize | None = None,
    **changes: Any,
) -> AnyRecipe:
    """Return a recipe with some values replaced; those that are `None` stay as they are.

    Args:
        recipe: the recipe to start from.
        epochs: number of epochs of all phases together. They are divided in the ratio of the
            recipe's phases; with fewer epochs than phases, the first phases are left out. Few
            epochs are those of the recipe's `short` phase, if it has one.
        image_size: image size of the last phase in pixels, a side or a pair (height, width). Those
            of the other phases keep their ratio to it.
        **changes: attributes of the recipe, or of its augmentation.

    Returns:
        A new recipe of the same class.

    Raises:
        ValueError: if an attribute does not exist or is out of range.

    Example:
        >>> from cspdarknet.train import CLASSIFICATION_RECIPES
        >>> customize(CLASSIFICATION_RECIPES["scratch"], epochs=35, seed=1).epochs
        35
    """
    phases, short = recipe.phases, recipe.short
    if epochs is not None:
        if short is not None and check_count("epochs", epochs) <= short.epochs:
            phases = (short,)
        phases = _with_epochs(phases, epochs)
    if image_size is not None:
        phases = _with_image_size(phases, image_size)
        short = short and dataclasses.replace(short, image_size=image_size)
    given = {name: value for name, value in changes.items() if value is not None}
    augmentation: Any = recipe.augmentation  # type: ignore[attr-defined]
    own, of_augmentation = (
        [field.name for field in dataclasses.fields(owner)] for owner in (recipe, augmentation)
    )
    if unknown := [name for name in given if name not in own + of_augmentation]:
        raise ValueError(
            f"A {type(recipe).__name__} has no attribute {unknown[0]!r}: it has {', '.join(own)}; "
            f"and its augmentation has {', '.join(of_augmentation)}."
        )
    changed = {name: given.pop(name) for name in of_augmentation if name in given}
    if changed:
        base = given.get("augmentation", augmentation)
        given["augmentation"] = dataclasses.replace(base, **changed)
    return dataclasses.replace(recipe, **{"phases": phases, "short": short, **given})


def _with_image_size(phases: tuple[Phase, ...], size: ImageSize) -> tuple[Phase, ...]:
    """Scale the image sizes of all phases, those before the last to multiples of 32 pixels."""
    size = check_image_size(size)
    last = min(sides(phases[-1].image_size))
    sizes = [_part_of(size, min(sides(phase.image_size)) / last) for phase in phases[:-1]]
    return tuple(
        dataclasses.replace(phase, image_size=size)
        for phase, size in zip(phases, [*sizes, size], strict=True)
    )


def _part_of(size: ImageSize, factor: float) -> ImageSize:
    """Return an image size times a factor, and at most the size itself."""
    height, width = sides(scaled(size, factor, 32))
    return of_sides(min(height, sides(size)[0]), min(width, sides(size)[1]))


def _with_epochs(phases: tuple[Phase, ...], epochs: int) -> tuple[Phase, ...]:
    """Divide epochs in the ratio of the phases; boundaries are rounded, which keeps the sum.

    With fewer epochs than phases, the last phases have an epoch each: they train the most layers,
    at the final image size.
    """
    phases = phases[-check_count("epochs", epochs) :]
    total = sum(phase.epochs for phase in phases)
    result, before, used = [], 0, 0
    for i, phase in enumerate(phases):
        before += phase.epochs
        later = len(phases) - i - 1
        end = min(max(round(before * epochs / total), used + 1), epochs - later)
        result.append(dataclasses.replace(phase, epochs=end - used))
        used = end
    return tuple(result)
