"""Label Studio: tasks with predictions, which people correct, and the labeling configuration."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

from cspdarknet._files import write_text
from cspdarknet.inference.result_formats.results import FileDetections, inside_image

TASKS, CONFIG = "label_studio.json", "label_studio.xml"
LOCAL_FILES = "/data/local-files/?d="  # how Label Studio serves files of its document root
NAMES = {"from_name": "label", "to_name": "image"}  # of the controls in the configuration


def write_label_studio(
    folder: Path, results: Iterable[FileDetections], class_names: Sequence[str]
) -> None:
    """Write `label_studio.json`, tasks to import, and `label_studio.xml`, their configuration.

    The images are those below `LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT`, which is to be the folder
    that the images were found in.

    Args:
        folder: the folder.
        results: the detections in images.
        class_names: names of the classes.
    """
    write_text(folder / TASKS, _tasks(results, class_names))
    labels = "".join(f"    <Label value={quoteattr(name)}/>\n" for name in class_names)
    write_text(
        folder / CONFIG,
        '<View>\n  <Image name="image" value="$image"/>\n'
        f'  <RectangleLabels name="label" toName="image">\n{labels}  </RectangleLabels>\n</View>\n',
    )


def _tasks(results: Iterable[FileDetections], class_names: Sequence[str]) -> Iterator[str]:
    yield "["
    for i, result in enumerate(results):
        yield f"{',' if i else ''}\n{json.dumps(_task(result, class_names))}"
    yield "\n]\n"


def _task(result: FileDetections, class_names: Sequence[str]) -> dict[str, Any]:
    key = Path(result.path.name) if result.key is None else result.key
    detections = inside_image(result.detections)
    regions = [
        _region(i, box, confidence, class_names[class_id], detections.image_size)
        for i, (box, confidence, class_id) in enumerate(
            zip(
                (100 * detections.to_format("rel_xywh").astype("float64")).round(5).tolist(),
                detections.confidence.astype("float64").round(6).tolist(),
                detections.class_id.tolist(),
                strict=True,
            )
        )
    ]
    scores = [region["score"] for region in regions]
    score = {"score": round(sum(scores) / len(scores), 6)} if scores else {}
    return {
        "data": {"image": LOCAL_FILES + quote(key.as_posix(), errors="surrogateescape")},
        "predictions": [{"model_version": "cspdarknet", **score, "result": regions}],
    }


def _region(
    index: int, box: list[float], score: float, class_name: str, image_size: tuple[int, int]
) -> dict[str, Any]:
    """Return the region of a detection: its box is in percent of width and height."""
    x, y, width, height = box
    value = {"x": x, "y": y, "width": width, "height": height, "rotation": 0}
    return {
        "id": f"detection_{index}",
        "type": "rectanglelabels",
        **NAMES,
        "original_width": image_size[1],
        "original_height": image_size[0],
        "image_rotation": 0,
        "score": score,
        "value": {**value, "rectanglelabels": [class_name]},
    }
