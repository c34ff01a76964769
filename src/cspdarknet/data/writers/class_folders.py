"""Writing of class folders: `<split>/<class>/<image>`."""

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from cspdarknet.data.classification.dataset import ClassificationDataset
from cspdarknet.data.problems import Problem
from cspdarknet.data.writers.images import ImageFiles
from cspdarknet.data.writers.names import UniqueNames


def write_class_folders(
    folder: Path, splits: Mapping[str, ClassificationDataset], images: ImageFiles
) -> list[Problem]:
    """Write a dataset as class folders in the folders of its splits.

    Args:
        folder: an empty folder.
        splits: the splits.
        images: sizes and copies of the image files.

    Returns:
        What the format cannot hold: nothing.
    """
    for split, dataset in splits.items():
        names: dict[int, UniqueNames] = defaultdict(UniqueNames)
        for path, label in zip(dataset.paths, dataset.labels.tolist(), strict=True):
            target = folder / split / dataset.class_names[label]
            target.mkdir(parents=True, exist_ok=True)
            images.copy(path, target / names[label].add(path))
    return []
