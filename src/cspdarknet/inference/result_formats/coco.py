"""COCO: a JSON document of images, annotations with scores and categories; or a results list."""

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from cspdarknet._files import write_text
from cspdarknet.inference.result_formats.results import FileDetections
from cspdarknet.yolox.coco_names import COCO_CATEGORY_IDS, COCO_NAMES

INFO = {"description": "Detections of cspdarknet"}
# How the files begin, by which an earlier result is told from an annotation file.
COCO_STARTS = (f'{{"info": {json.dumps(INFO)}',)
COCO_RESULTS_STARTS = ('[{"image_id": ', "[]")


def write_coco(path: Path, results: Iterable[FileDetections], class_names: Sequence[str]) -> None:
    """Write one JSON document in COCO's format: images, annotations with scores, categories.

    The frames of a video are images of the same `file_name`, with a `frame` each.

    Args:
        path: the file, which is written atomically; `-` is the standard output.
        results: the detections in images and frames, which are read more than once.
        class_names: names of the classes; their categories are counted from 1, or have COCO's ids
            if the classes are COCO's.
    """
    write_text(path, _document(results, class_names))


def _document(results: Iterable[FileDetections], class_names: Sequence[str]) -> Iterator[str]:
    ids, category_ids = _image_ids(results), _category_ids(class_names)
    categories = [{"id": i, "name": n} for i, n in zip(category_ids, class_names, strict=True)]
    yield f'{{"info": {json.dumps(INFO)}, "images": ['
    yield from _separated(_image(i, result) for i, result in zip(ids, results, strict=True))
    yield '], "annotations": ['
    yield from _separated(_annotations(ids, results, category_ids))
    yield f'], "categories": {json.dumps(categories)}}}\n'


def _image(image_id: int, result: FileDetections) -> dict[str, Any]:
    height, width = result.detections.image_size
    frame = {} if result.frame is None else {"frame": result.frame}
    name = result.path.as_posix()
    return {"id": image_id, "file_name": name, "width": width, "height": height, **frame}


def _annotations(
    ids: Sequence[int], results: Iterable[FileDetections], category_ids: Sequence[int]
) -> Iterator[dict[str, Any]]:
    rows = chain.from_iterable(
        result.detections.to_coco(i, category_ids) for i, result in zip(ids, results, strict=True)
    )
    for i, row in enumerate(rows, 1):
        area = round(row["bbox"][2] * row["bbox"][3], 2)
        yield {"id": i, "area": area, "iscrowd": 0, **row}


def write_coco_results(
    path: Path,
    results: Iterable[FileDetections],
    class_names: Sequence[str],
    annotations: Path | None = None,
) -> None:
    """Write a list of detections in COCO's results format, which pycocotools' `loadRes` takes.

    Args:
        path: the file, which is written atomically; `-` is the standard output.
        results: the detections in images, which are read more than once.
        class_names: names of the classes.
        annotations: the COCO file whose ids of images and categories are used, by their names.
            Without it, the ids are those of `write_coco`.

    Raises:
        ValueError: if an image or a class is not in the annotations.
    """
    category_ids: Sequence[int] = _category_ids(class_names)
    if annotations is None:
        image_ids = _image_ids(results)
    else:
        by_image, by_category = _annotated_ids(annotations)
        image_ids = [_known(by_image, result.path.name, annotations) for result in results]
        category_ids = [_known(by_category, name, annotations) for name in class_names]
    rows = chain.from_iterable(
        result.detections.to_coco(i, category_ids)
        for result, i in zip(results, image_ids, strict=True)
    )
    write_text(path, chain(["["], _separated(rows), ["]\n"]))


def _separated(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Yield the entries of a JSON list."""
    for i, row in enumerate(rows):
        yield f"{', ' if i else ''}{json.dumps(row)}"


def _image_ids(results: Iterable[FileDetections]) -> Sequence[int]:
    """Return the numbers in the file names, as in COCO; or else the places in the list, from 1."""
    stems = [result.path.stem for result in results]
    ids = [int(stem) for stem in stems if stem.isdecimal()]
    return ids if len(set(ids)) == len(stems) else range(1, len(stems) + 1)


def _category_ids(class_names: Sequence[str]) -> Sequence[int]:
    is_coco = tuple(class_names) == COCO_NAMES
    return COCO_CATEGORY_IDS if is_coco else range(1, len(class_names) + 1)


def _annotated_ids(path: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Return the ids of images and categories in a COCO file, by the names of files and classes."""
    try:
        content = json.loads(path.read_bytes())
        images = {Path(image["file_name"]).name: image["id"] for image in content["images"]}
        return images, {category["name"]: category["id"] for category in content["categories"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path} must be a COCO file with images and categories. Received: {error!r}"
        ) from error


def _known(ids: dict[str, int], name: str, path: Path) -> int:
    if name not in ids:
        raise ValueError(f"{name} must be in {path}, from which ids are taken. It is not.")
    return ids[name]
