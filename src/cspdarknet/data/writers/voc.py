"""Writing of Pascal VOC: `Annotations`, `JPEGImages`, `ImageSets/Main` and `classes.txt`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.data.problems import Problem
from cspdarknet.data.writers.images import ImageFiles
from cspdarknet.data.writers.names import UniqueNames
from cspdarknet.data.writers.numbers import decimal_text

SIDES = ("xmin", "ymin", "xmax", "ymax")
LISTS = {"train": "train", "validation": "val", "test": "test"}


def write_voc(
    folder: Path, splits: Mapping[str, DetectionDataset], images: ImageFiles
) -> list[Problem]:
    """Write a dataset in the format of Pascal VOC.

    Ignored boxes are `difficult`. The format has no list of classes, so that `classes.txt` keeps
    their order.

    Args:
        folder: an empty folder.
        splits: the splits.
        images: sizes and copies of the image files.

    Returns:
        What the format cannot hold: nothing.
    """
    names = UniqueNames()
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True)
    class_names: Sequence[str] = ()
    for split, dataset in splits.items():
        class_names = dataset.class_names
        stems = []
        for i, (path, name) in enumerate(
            zip(dataset.paths, names.add_all(dataset.paths), strict=True)
        ):
            stem = name.rpartition(".")[0]
            images.copy(path, folder / "JPEGImages" / name)
            tree = ElementTree(_annotation(dataset, i, name, images.size(path)))
            indent(tree)
            tree.write(folder / "Annotations" / f"{stem}.xml", encoding="utf-8")
            stems.append(f"{stem}\n")
        _write_lines(folder / "ImageSets/Main" / f"{LISTS[split]}.txt", stems)
    _write_lines(folder / "classes.txt", [f"{name}\n" for name in class_names])
    return []


def _annotation(
    dataset: DetectionDataset, i: int, name: str, image_size: tuple[int, int]
) -> Element:
    root = Element("annotation")
    _add(root, "folder", "JPEGImages")
    _add(root, "filename", name)
    size = SubElement(root, "size")
    for side, value in zip(("width", "height", "depth"), (*image_size, 3), strict=True):
        _add(size, side, str(value))
    for box, label, ignored in zip(
        dataset.boxes[i], dataset.labels[i], dataset.ignored[i], strict=True
    ):
        item = SubElement(root, "object")
        _add(item, "name", dataset.class_names[label])
        _add(item, "difficult", str(int(ignored)))
        corners = SubElement(item, "bndbox")
        for side, value in zip(SIDES, box, strict=True):
            _add(corners, side, decimal_text(value))
    return root


def _add(parent: Element, tag: str, text: str) -> None:
    SubElement(parent, tag).text = text


def _write_lines(path: Path, lines: Sequence[str]) -> None:
    path.write_text("".join(lines), encoding="utf-8", newline="\n")
