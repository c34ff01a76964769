"""The report of a dataset: numbers as JSON, plots, and samples of each class."""

import html
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from cspdarknet._files import OutputFolder
from cspdarknet._image_size import ImageSize, to_text
from cspdarknet.data.classification.dataset import MultiLabelDataset
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.data.doctor.load import InspectedDataset
from cspdarknet.data.doctor.summary import (
    SplitSummary,
    image_sizes,
    letterbox_ratios,
    summarize,
    trained_boxes,
)
from cspdarknet.data.problems import KINDS, by_kind, count_of
from cspdarknet.detections import Detections
from cspdarknet.images import image_size as read_image_size
from cspdarknet.reports.contact_sheet import Tile, draw_contact_sheet, open_or_blank
from cspdarknet.reports.dataset_plots import (
    draw_box_shapes,
    draw_box_sizes,
    draw_class_counts,
    draw_cooccurrence,
    draw_image_sizes,
)
from cspdarknet.reports.page import Picture, table, write_page, write_picture
from cspdarknet.visualize import draw_boxes

STATISTICS, SAMPLES = "statistics.json", "samples.png"
TILE_SIDE, COLUMNS, MAX_CLASSES = 260, 4, 24

SIZES_CAPTION = (
    "<p>Width and height of the boxes in pixels of the training images. Dotted lines: the strides "
    "8, 16 and 32 of a detector's feature maps.</p>"
)


def write_dataset_report(
    folder: OutputFolder,
    dataset: InspectedDataset,
    image_size: ImageSize,
    size_of: Callable[[Path], tuple[int, int]] = read_image_size,
    seed: int = 0,
) -> None:
    """Write numbers, pictures and an HTML page about a dataset.

    Args:
        folder: folder that the files are written to.
        dataset: the dataset, which has images.
        image_size: side of the square training images in pixels, or height and width.
        size_of: function that returns width and height of an image file.
        seed: random seed of the choice of the samples.

    Raises:
        ImportError: if Matplotlib is not installed.
        ValueError: if the dataset has no images.
    """
    if dataset.task == "regression":
        raise ValueError(
            "The report is for datasets of classes or boxes. Received: a dataset for regression: "
            "`cspdarknet data check` shows the range of its numbers."
        )
    if not dataset.splits:
        raise ValueError(f"{dataset.source} has no usable images. {dataset.error}".rstrip())
    sizes = {split: image_sizes(images, size_of) for split, images in dataset.splits.items()}
    summaries = {
        split: summarize(images, sizes[split], image_size)
        for split, images in dataset.splits.items()
    }
    content = {split: summary.to_json() for split, summary in summaries.items()}
    folder.write_json(STATISTICS, {"class_names": list(dataset.class_names), "splits": content})
    pictures = [
        *_class_pictures(dataset, summaries),
        *_box_pictures(dataset, sizes, image_size),
        Picture(
            "image_sizes.png",
            "Image sizes",
            partial(draw_image_sizes, np.concatenate(list(sizes.values())), image_size),
        ),
        *_sample_pictures(dataset, sizes, seed),
    ]
    sections = [_summary(dataset, summaries, image_size), _problems(dataset)]
    sections += [write_picture(folder, picture) for picture in pictures]
    write_page(folder, f"Dataset {Path(dataset.source).name}", sections)


def _class_pictures(
    dataset: InspectedDataset, summaries: Mapping[str, SplitSummary]
) -> list[Picture]:
    columns = {"Images": "class_images"}
    if dataset.task == "detection":
        columns = {"Boxes": "class_boxes", **columns}
    pictures = []
    for title, column in columns.items():
        counts = {split: np.array(getattr(item, column)) for split, item in summaries.items()}
        draw = partial(draw_class_counts, counts, dataset.class_names, title.lower())
        name = f"class_{title.lower()}.png"
        pictures.append(Picture(name, f"{title} of each class", draw))
    return pictures


def _box_pictures(
    dataset: InspectedDataset, sizes: Mapping[str, np.ndarray], image_size: ImageSize
) -> list[Picture]:
    """Return the pictures about the boxes of all splits; none where there are no boxes."""
    columns: list[tuple[np.ndarray, ...]] = []
    for split, images in dataset.splits.items():
        if not isinstance(images, DetectionDataset):
            return []
        owners, boxes, _ = trained_boxes(images)
        sides = boxes[:, 2:] - boxes[:, :2]
        centers = (boxes[:, 2:] + boxes[:, :2]) / 2 / sizes[split][owners]
        resized = sides * letterbox_ratios(sizes[split], image_size)[owners, None]
        columns.append((sides, resized, centers, np.bincount(owners, minlength=len(images))))
    sides, resized, centers, per_image = (np.concatenate(c) for c in zip(*columns, strict=True))
    if not len(sides):
        return []
    title = f"Box sizes at {to_text(image_size)} pixels"
    sizes_picture = partial(draw_box_sizes, resized, image_size)
    shapes_picture = partial(draw_box_shapes, sides, centers, per_image)
    return [
        Picture("box_sizes.png", title, sizes_picture, SIZES_CAPTION),
        Picture("boxes.png", "Boxes", shapes_picture),
        *_cooccurrence_pictures(dataset),
    ]


def _cooccurrence_pictures(dataset: InspectedDataset) -> list[Picture]:
    """Return the picture of the classes that occur together, of the most frequent classes."""
    if len(dataset.class_names) < 2:
        return []
    splits = [item for item in dataset.splits.values() if isinstance(item, DetectionDataset)]
    totals = np.sum([images.counts for images in splits], axis=0)
    frequent = np.argsort(-totals, kind="stable")[:MAX_CLASSES]
    together = np.zeros((len(frequent),) * 2, "int64")
    for images in splits:
        owners, _, labels = trained_boxes(images)
        present = np.zeros((len(images), len(frequent)), "float32")
        for column, label in enumerate(frequent.tolist()):
            present[owners[labels == label], column] = 1
        together += np.rint(present.T @ present).astype("int64")
    draw = partial(draw_cooccurrence, together, [dataset.class_names[i] for i in frequent])
    return [Picture("cooccurrence.png", "Co-occurrence of classes", draw)]


def _sample_pictures(
    dataset: InspectedDataset, sizes: Mapping[str, np.ndarray], seed: int
) -> list[Picture]:
    """Return the picture of samples of each class; of many classes, the most frequent ones."""
    split = next(iter(dataset.splits))
    images: Any = dataset.splits[split]
    owners, labels = np.arange(len(images)), images.labels
    if isinstance(images, DetectionDataset):
        owners, _, labels = trained_boxes(images)
    elif isinstance(images, MultiLabelDataset):
        owners, labels = np.nonzero(images.labels)
    rng, tiles = np.random.default_rng(seed), list[Tile]()
    for label in np.argsort(-images.counts, kind="stable")[:MAX_CLASSES].tolist():
        chosen = rng.permutation(np.unique(owners[labels == label]))[:COLUMNS].tolist()
        tiles += [_tile(images, i, label, sizes[split][i]) for i in chosen]
        if chosen:
            tiles += [Tile(Image.new("RGB", (1, 1), "white"), ())] * (COLUMNS - len(chosen))
    sheet = draw_contact_sheet(tiles, TILE_SIDE, COLUMNS)
    if sheet is None:
        return []
    which = "each class" if len(images.counts) <= MAX_CLASSES else "the most frequent classes"
    title = f"Samples of {which} ({split})"
    return [Picture(SAMPLES, title, partial(sheet.save, format="PNG"))]


def _tile(images: Any, index: int, label: int, size: np.ndarray) -> Tile:
    path = images.paths[index]
    image = open_or_blank(path, 2 * TILE_SIDE, tuple(size.tolist()))
    image = ImageOps.contain(image, (TILE_SIDE, TILE_SIDE), Image.Resampling.BICUBIC)
    if isinstance(images, DetectionDataset):
        shown = ~images.ignored[index]
        scale = np.array(image.size * 2) / np.tile(size, 2)
        boxes, labels = images.boxes[index][shown] * scale, images.labels[index][shown]
        shape = (image.height, image.width)
        found = Detections(boxes, np.ones(len(boxes)), labels, shape, images.class_names)
        image = draw_boxes(image, found, show_confidence=False)
    return Tile(image, ((images.class_names[label], "black"), (path.name, "gray")))


def _summary(
    dataset: InspectedDataset, summaries: Mapping[str, SplitSummary], image_size: ImageSize
) -> str:
    is_detection = dataset.task == "detection"
    header: tuple[str, ...] = ("split", "images")
    if is_detection:
        header += ("without boxes", "boxes", "boxes under 8 px", "boxes under 2 px")
    rows = [
        (split, f"{summary.images:,}", *(_box_cells(summary) if is_detection else ()))
        for split, summary in summaries.items()
    ]
    size = f" Boxes are measured at {to_text(image_size)} pixels." if is_detection else ""
    return (
        f"<p>{html.escape(dataset.format)}. {dataset.task.capitalize()}, "
        f"{count_of(len(dataset.class_names), 'class', 'classes')}.{size}</p>{table(header, rows)}"
    )


def _box_cells(summary: SplitSummary) -> tuple[str, ...]:
    tiny = [sum(counts) for counts in (summary.tiny_boxes or {}).values()]
    return tuple(f"{n:,}" for n in (summary.empty_images, summary.boxes, *tiny))


def _problems(dataset: InspectedDataset) -> str:
    rows = [
        (f"{len(problems):,}", KINDS[kind].title, KINDS[kind].action, str(problems[0]))
        for kind, problems in by_kind(dataset.problems).items()
    ]
    if not rows:
        return ""
    header = ("number", "problem", "action", "first of them")
    return f"<h2>Problems</h2>{table(header, rows)}"
