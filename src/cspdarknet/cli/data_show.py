"""Pictures of `cspdarknet data show`: single images, and all of them on a sheet."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from cspdarknet._files import OutputFolder
from cspdarknet._image_size import ImageSize, to_text
from cspdarknet.data.doctor import show
from cspdarknet.data.doctor.load import InspectedDataset
from cspdarknet.data.doctor.show import InputPicture
from cspdarknet.data.problems import count_of
from cspdarknet.images import RGB
from cspdarknet.reports.contact_sheet import Tile, draw_contact_sheet

IMAGE_SIZES = {"detection": 416, "classification": 224, "regression": 224}
SHEET, COLUMNS = "all.png", 4
TILE_SIDE, MIN_TILE_SIDE = 300, 140  # pixels; narrower tiles would cut the captions


def evaluation_pictures(
    dataset: InspectedDataset,
    image_size: ImageSize | None,
    count: int,
    seed: int,
    channels: int | None = None,
) -> tuple[list[InputPicture], str]:
    """Return images as a network gets them in evaluations, and a sentence about them."""
    split, images = _first_split(dataset)
    size = image_size or IMAGE_SIZES[dataset.task]
    pictures = list(show.evaluation_pictures(images, size, count, seed, channels or RGB))
    how = "letterboxed to" if dataset.task == "detection" else "center crops of"
    text = f"{count_of(len(pictures), 'image')} of {split}, {how} {to_text(size)} pixels."
    return pictures, text


def augmented_pictures(
    dataset: InspectedDataset,
    recipe_name: str,
    image_size: ImageSize | None,
    count: int,
    seed: int,
    channels: int | None = None,
) -> tuple[list[InputPicture], str]:
    """Return the first images of a training by a recipe, and a sentence about them.

    Raises:
        ValueError: if there is no such recipe, or the dataset cannot be trained on.
    """
    from cspdarknet import train as training
    from cspdarknet.train.tasks import DetectionTask, RegressionTask, classification_task

    if dataset.error:
        raise ValueError(dataset.error)
    recipe: Any = training.load_recipe(recipe_name, dataset.task)
    recipe = replace(recipe, batch_size=min(count, recipe.batch_size), seed=seed)
    if dataset.task == "classification":
        recipe = replace(recipe, labels=dataset.labels)
    tasks = {"detection": DetectionTask, "regression": RegressionTask}
    task: Any = tasks.get(dataset.task, classification_task)
    channels = channels or recipe.channels or RGB
    source = task(recipe).build_source(dataset.splits["train"], 2, (0, 1), channels=channels)
    phase = recipe.phases[0]
    size = image_size or phase.image_size
    source = source.no_mixing if phase.no_mixing else source
    pictures = show.training_pictures(source, size, count)
    text = f"{count_of(len(pictures), 'training image')} of the recipe {recipe_name}"
    if len(recipe.phases) > 1:
        text += f" in the first of its {len(recipe.phases)} phases"
    return pictures, f"{text}, {to_text(size)} pixels."


def write_pictures(folder: OutputFolder, pictures: Sequence[InputPicture]) -> Path:
    """Write pictures and a sheet of all of them; return the path of the sheet."""
    for number, picture in enumerate(pictures, 1):
        folder.write(f"{number:03}.png", partial(picture.image.save, format="PNG"))
    tiles = [_tile(number, picture) for number, picture in enumerate(pictures, 1)]
    width = max([MIN_TILE_SIDE, *(tile.image.width for tile in tiles)])
    sheet = draw_contact_sheet(tiles, width, COLUMNS)
    if sheet is None:
        raise ValueError("There are no pictures to write.")
    folder.write(SHEET, partial(sheet.save, format="PNG"))
    return folder.path / SHEET


def _first_split(dataset: InspectedDataset) -> tuple[str, Any]:
    if not dataset.splits:
        raise ValueError(f"{dataset.source} has no usable images. {dataset.error}".rstrip())
    return next(iter(dataset.splits.items()))


def _tile(number: int, picture: InputPicture) -> Tile:
    image = picture.image
    if image.width > TILE_SIDE:
        image = ImageOps.contain(image, (TILE_SIDE, TILE_SIDE), Image.Resampling.BICUBIC)
    name = f"{number:03} {picture.name}".strip()
    return Tile(image, ((name, "gray"), (picture.caption, "black")))
