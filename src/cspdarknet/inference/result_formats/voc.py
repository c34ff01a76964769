"""Pascal VOC: an XML file for each image, with an object for each detection."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from cspdarknet.inference.result_formats.results import (
    FileDetections,
    inside_image,
    write_folder,
)

ANNOTATIONS = "Annotations"
SIDES = ("xmin", "ymin", "xmax", "ymax")


def write_voc(folder: Path, results: Iterable[FileDetections], class_names: Sequence[str]) -> None:
    """Write `Annotations/<image>.xml` for each image.

    Boxes are clipped to the image. An object has a `confidence`, which VOC itself does not know.

    Args:
        folder: the folder.
        results: the detections in images and frames.
        class_names: names of the classes.
    """

    def write(annotations: Path) -> None:
        for result in results:
            path = annotations / f"{result.stem}.xml"
            path.parent.mkdir(parents=True, exist_ok=True)
            tree = ElementTree(_annotation(result, class_names))
            indent(tree)
            tree.write(path, encoding="utf-8")

    write_folder(folder / ANNOTATIONS, write)


def _annotation(result: FileDetections, class_names: Sequence[str]) -> Element:
    root = Element("annotation")
    _add(root, "filename", result.path.name)
    _add(root, "path", str(result.path.absolute()))
    if result.frame is not None:
        _add(root, "frame", str(result.frame))
    size, (height, width) = SubElement(root, "size"), result.detections.image_size
    for side, value in (("width", width), ("height", height), ("depth", 3)):
        _add(size, side, str(value))
    for row in inside_image(result.detections).to_json():
        item = SubElement(root, "object")
        _add(item, "name", class_names[row["class_id"]])
        _add(item, "difficult", "0")
        _add(item, "confidence", f"{row['confidence']:g}")
        box = SubElement(item, "bndbox")
        for side, value in zip(SIDES, row["xyxy"], strict=True):
            _add(box, side, f"{value:.10g}")
    return root


def _add(parent: Element, tag: str, text: str) -> None:
    # XML cannot hold file names that are not UTF-8, nor control characters.
    valid = text.encode(errors="replace").decode()
    SubElement(parent, tag).text = "".join(c if c.isprintable() else "?" for c in valid)
