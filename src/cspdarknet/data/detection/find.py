"""Find photos with boxes in any of the usual forms, check them, and split them."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cspdarknet.data.classification.dataset import PARTS, set_aside
from cspdarknet.data.detection.annotations import AnnotatedData, Problem
from cspdarknet.data.detection.checks import check_annotated, without_repeats
from cspdarknet.data.detection.dataset import DetectionDataset, DetectionSplits
from cspdarknet.data.formats.coco import read_coco
from cspdarknet.data.formats.voc import read_voc
from cspdarknet.data.formats.yolo import read_yolo

READERS = (read_voc, read_yolo, read_coco)
SHOWN_PROBLEMS = 5


def load_detection_dataset(
    data: str | Path,
    validation_split: float = 0.15,
    seed: int = 0,
    on_problem: str = "stop",
    class_names: Sequence[str] | None = None,
) -> DetectionSplits:
    """List the photos of a data set for object detection with their boxes.

    Three forms are known:

    - Pascal VOC: `Annotations/*.xml`, `JPEGImages/`, and perhaps `ImageSets/Main/*.txt`.
    - COCO: `annotations/instances_*.json` with folders of photos, or a JSON file beside the
      photos of each part, or a single JSON file.
    - YOLO: `data.yaml`, or folders `images` and `labels`, with a text file for each photo.

    Photos without boxes are kept, as they show what is not to be found: a photo with an XML file
    without objects, listed in COCO's JSON without annotations, or with no lines for YOLO, or no
    text file. A photo without an XML file is not annotated yet, and left out. Where no part is
    for validation, a share of the photos is set aside, the same for the same seed.

    Args:
        data: the folder, JSON or YAML file.
        validation_split: share of the photos that is set aside, between 0 and 1.
        seed: of the split.
        on_problem: `"stop"` at boxes and photos that cannot be right; or `"fix"`: clip boxes to
            their photo, leave out those that cannot be used, and list all of it in `problems`.
        class_names: the classes in the order of their labels, where others than the declared
            ones (VOC: than all names of the training part, sorted) are wanted.

    Returns:
        `DetectionSplits`.

    Raises:
        ValueError: if the form is unknown, classes or ids are given twice, there is nothing to
            train on, or something is wrong and `on_problem` is `"stop"`.

    Example:
        >>> for name in ("photos", "photos/labels", "photos/images"):
        ...     Path(name).mkdir()
        >>> for i in range(4):
        ...     Image.new("RGB", (80, 60)).save(f"photos/images/{i}.png")
        ...     _ = Path(f"photos/labels/{i}.txt").write_text("0 0.5 0.5 0.25 0.5")
        >>> _ = Path("photos/classes.txt").write_text("cell")
        >>> splits = load_detection_dataset("photos", validation_split=0.25)
        >>> splits.class_names, len(splits.train), len(splits.validation)
        (('cell',), 3, 1)
        >>> splits.train.boxes[0]
        array([[30., 15., 50., 45.]], dtype=float32)
    """
    if not 0 < validation_split < 1:
        raise ValueError(
            f"`validation_split` must be between 0 and 1. Received: {validation_split}"
        )
    path = Path(data)
    annotated = _read(path)
    if class_names is None:
        class_names = annotated.class_names or _names_of("train", annotated)
    found, problems = _checked(path, annotated, class_names, on_problem)
    train = found.get("train")
    if train is None or not train.counts.any():
        raise ValueError(f"{path} holds no photo with boxes to train on.")
    if "validation" not in found:
        train, found["validation"] = split_detection_dataset(train, validation_split, seed)
    return DetectionSplits(train, found["validation"], found.get("test"), tuple(problems))


class EvaluationSplit(NamedTuple):
    """A part of a data set with boxes.

    Attributes:
        name: `"test"` or `"validation"`; `"all"` for a data set without such parts.
        photos: its photos.
        problems: what was wrong in the files and has been clipped or left out.
    """

    name: str
    photos: DetectionDataset
    problems: tuple[Problem, ...] = ()


def load_detection_split(
    data: str | Path, class_names: Sequence[str], on_problem: str = "stop"
) -> EvaluationSplit:
    """List the photos of a data set for a detector that knows these classes.

    The `test` part is taken where there is one, then `validation`, else all photos.

    Returns:
        `EvaluationSplit`.

    Raises:
        ValueError: as `load_detection_dataset`; boxes of other classes are among what is wrong.
    """
    path = Path(data)
    annotated = _read(path)
    part = next((p for p in ("test", "validation", "train") if annotated.parts.get(p)), "train")
    chosen = AnnotatedData(
        {part: annotated.parts.get(part, [])}, annotated.class_names, annotated.problems
    )
    found, problems = _checked(path, chosen, class_names, on_problem)
    if part not in found:
        raise ValueError(f"{path} holds no photo that can be used.")
    return EvaluationSplit("all" if part == "train" else part, found[part], tuple(problems))


def split_detection_dataset(
    photos: DetectionDataset, share: float, seed: int
) -> tuple[DetectionDataset, DetectionDataset]:
    """Set a share of the photos aside, of each kind alike: by the rarest class in a photo.

    Raises:
        ValueError: if there is a single photo.
    """
    if len(photos) < 2:
        raise ValueError("There is a single photo: add some, to validate on.")
    rank = np.argsort(np.argsort(photos.counts, kind="stable"))
    kinds = np.array([rank[labels].min(initial=len(rank)) for labels in photos.labels])
    if np.bincount(kinds).max() == 1:  # too few photos to tell kinds apart
        kinds[:] = 0
    rest, aside = set_aside(kinds, share, seed)
    return photos.take(rest), photos.take(aside)


def _read(path: Path) -> AnnotatedData:
    if not path.exists():
        raise ValueError(f"There is no folder or file {path}.")
    for read in READERS:
        if annotated := read(path):
            return annotated
    raise ValueError(
        f"{path} is no data set with boxes: expected a folder in the form of Pascal VOC "
        "(Annotations/*.xml), of COCO (annotations/instances_*.json, or a .json file) or of YOLO "
        "(data.yaml, or the folders images and labels)."
    )


def _names_of(part: str, annotated: AnnotatedData) -> list[str]:
    photos = annotated.parts.get(part, [])
    return sorted({name for photo in photos for name in photo.names} - {""})


def _checked(
    path: Path, annotated: AnnotatedData, class_names: Sequence[str], on_problem: str
) -> tuple[dict[str, DetectionDataset], list[Problem]]:
    if on_problem not in ("stop", "fix"):
        raise ValueError(f"`on_problem` must be 'stop' or 'fix'. Received: {on_problem!r}")
    for classes in (annotated.class_names or (), class_names):
        if repeated := [name for name, count in Counter(classes).items() if count > 1]:
            raise ValueError(f"{path}: several classes have the same name: {', '.join(repeated)}.")
    names = [part for part in PARTS if annotated.parts.get(part)]
    parts, problems = without_repeats([annotated.parts[name] for name in names])
    problems = annotated.problems + problems
    found = {}
    for name, part in zip(names, parts, strict=True):
        found[name], wrong = check_annotated(part, class_names)
        problems += wrong
    if problems and on_problem == "stop":
        raise ValueError(_summary(path, problems))
    return {name: photos for name, photos in found.items() if len(photos)}, problems


def _summary(path: Path, problems: list[Problem]) -> str:
    files = len({problem.path for problem in problems})
    shown = [f"  {problem}" for problem in problems[:SHOWN_PROBLEMS]]
    if len(problems) > SHOWN_PROBLEMS:
        shown.append(f"  and {len(problems) - SHOWN_PROBLEMS} more")
    lines = "\n".join(shown)
    return (
        f"{path}: {len(problems)} problems in {files} files.\n{lines}\n"
        "Mend them, or pass on_problem='fix' to clip boxes to their photo, leave out what cannot "
        "be used, and list it."
    )
