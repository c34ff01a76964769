"""YOLO: a text file for each image, with a line for each detection; names of the classes."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from cspdarknet._files import write_text
from cspdarknet.inference.result_formats.results import (
    FileDetections,
    inside_image,
    write_folder,
)

LABELS, CLASSES = "labels", "classes.txt"


def write_yolo(folder: Path, results: Iterable[FileDetections], class_names: Sequence[str]) -> None:
    """Write `labels/<image>.txt` for each image, and `classes.txt`.

    A line has the class id; center x and y, width and height as fractions of the image; and the
    confidence. Boxes are clipped to the image. An image without detections has an empty file.

    Args:
        folder: the folder.
        results: the detections in images and frames.
        class_names: names of the classes.
    """

    def write(labels: Path) -> None:
        for result in results:
            path = labels / f"{result.stem}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(_lines(result)), encoding="utf-8", newline="\n")

    write_folder(folder / LABELS, write)
    write_text(folder / CLASSES, "".join(f"{name}\n" for name in class_names))


def _lines(result: FileDetections) -> list[str]:
    detections = inside_image(result.detections)
    rows = zip(
        detections.class_id.tolist(),
        detections.to_format("rel_center_xywh").tolist(),
        detections.confidence.tolist(),
        strict=True,
    )
    return [
        f"{class_id} {' '.join(f'{value:.7f}' for value in box)} {confidence:.6f}\n"
        for class_id, box, confidence in rows
    ]
