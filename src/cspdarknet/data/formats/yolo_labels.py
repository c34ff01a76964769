"""Label files of YOLO and Darknet: a text file of boxes for each image."""

# A `Path` for each of a million files would be slow.
# ruff: noqa: PTH118, PTH119, PTH120, PTH122, PTH206

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from os import sep
from os.path import basename, dirname, splitext
from pathlib import Path

from cspdarknet.data.annotations import AnnotatedImage
from cspdarknet.data.files import (
    DatasetFiles,
    ends_of_folders,
    in_the_stated_folder,
    is_file,
    read_text,
)
from cspdarknet.data.formats.merging import split_of_folder
from cspdarknet.data.problems import Problem

# Text files that are not labels, though they are among them.
OTHER_TEXTS = ("classes", "_classes", "labels", "names", "predefined_classes")
SHOWN_VALUES = 40


class LabelFiles:
    """The label files of a dataset, by their images.

    Args:
        folders: the files of the folders that may hold them.
        outside: images outside of these folders, whose label files are looked up one by one.
    """

    def __init__(self, folders: Iterable[DatasetFiles], outside: Iterable[Path] = ()) -> None:
        # Paths as text, by themselves and by themselves in lower case.
        self._by_path: dict[str, str] = {}
        self._folders = {_prefix(files): files for files in folders}
        for prefix, files in self._folders.items():
            for name in files.names:
                if name.lower().endswith(".txt"):
                    path = prefix + name.replace("/", sep)
                    self._by_path.setdefault(path.lower(), path)
                    self._by_path[path] = path
        for image in outside:
            beside = image.with_suffix(".txt")
            for path in (str(beside), _in_labels(str(beside))):
                if is_file(Path(path)):
                    self._by_path[path.lower()] = path
        self._used: set[str] = set()

    @property
    def used(self) -> list[Path]:
        """The label files of the images that have been asked for."""
        return [Path(path) for path in sorted(self._used)]

    def of(self, image: Path) -> Path | None:
        """Return the label file of an image, if it has one.

        It is beside the image; or in a folder `labels` in place of `images`, in any case; or it is
        the only one of the same name that can be meant.
        """
        beside = splitext(image)[0] + ".txt"
        found = self._at(beside) or self._at(_in_labels(beside)) or self._only(image)
        if found is None:
            return None
        self._used.add(found)
        return Path(found)

    def _at(self, path: str) -> str | None:
        return self._by_path.get(path) or self._by_path.get(path.lower())

    def _only(self, image: Path) -> str | None:
        same = self._by_stem.get(image.stem.lower(), set())
        fitting = [path for path in same if self._may_be(path, image) and _is_label(Path(path))]
        return fitting[0] if len(fitting) == 1 else None

    def _may_be(self, path: str, image: Path) -> bool:
        """Whether a label file of the name of an image is not that of another image or split."""
        stem = splitext(path)[0].lower()
        if not self._images.isdisjoint((stem, _in_images(stem))):
            return False
        label, other = self._name_of(path), self._name_of(str(image))
        if len({split_of_folder(label), split_of_folder(other)} - {None}) > 1:
            return False
        return in_the_stated_folder(dirname(label), dirname(other), self._label_folders)

    def _name_of(self, path: str) -> str:
        """Return a path relative to the dataset, with slashes."""
        prefix = next((prefix for prefix in self._folders if path.startswith(prefix)), "")
        return path[len(prefix) :].replace(sep, "/")

    @cached_property
    def _images(self) -> set[str]:
        """The images without their suffixes, in lower case."""
        return {
            splitext(prefix + name.replace("/", sep))[0].lower()
            for prefix, files in self._folders.items()
            for name in files.images
        }

    @cached_property
    def _label_folders(self) -> set[str]:
        return ends_of_folders({dirname(self._name_of(path)) for path in self._by_path.values()})

    @cached_property
    def _by_stem(self) -> dict[str, set[str]]:
        found = defaultdict(set)
        for path in self._by_path.values():
            found[splitext(basename(path).lower())[0]].add(path)
        return found

    def without_image(self) -> list[Problem]:
        """Return a problem for each label file that no image has."""
        folders = {dirname(path) for path in self._used}
        paths = dict.fromkeys(self._by_path.values())
        unused = (Path(path) for path in paths if path not in self._used)
        return [
            Problem("label without image", path, "there is no image of this name")
            for path in unused
            if (str(path.parent) in folders or path.parent.name.lower() == "labels")
            and _is_label(path)
        ]


def _prefix(files: DatasetFiles) -> str:
    """Return what precedes the names of files in their paths."""
    return str(files.path("a"))[:-1]


def _in_labels(path: str) -> str:
    """Replace the last folder named `images` by `labels`."""
    return _replace_folder(path, "images", "labels")


def _in_images(path: str) -> str:
    return _replace_folder(path, "labels", "images")


def _replace_folder(path: str, old: str, new: str) -> str:
    parts = path.split(sep)
    places = [i for i, part in enumerate(parts[:-1]) if part.lower() == old]
    if places:
        parts[places[-1]] = new
    return sep.join(parts)


def _is_label(path: Path) -> bool:
    """Whether the first line of a text file is a class and at least four numbers."""
    if path.stem.lower() in OTHER_TEXTS:
        return False
    try:
        with path.open("rb") as file:
            first = file.readline(10_000).decode("utf-8-sig", "replace").split()
    except OSError:
        return False
    try:
        return len([float(value) for value in first]) >= 5
    except ValueError:
        return False


def read_labels(
    images: Sequence[Path], labels: LabelFiles, class_names: Mapping[int, str], keypoints: int = 0
) -> tuple[list[AnnotatedImage], list[Problem]]:
    """Read the boxes of images; those without a label file have none.

    Each line of a label file is `class x y width height`, of the box's center and in fractions of
    the image, or a class and the corners of a polygon, whose bounding box is taken.

    Args:
        images: the image files.
        labels: the label files.
        class_names: the names of the classes by id.
        keypoints: number of values that follow each box for its key points.
    """
    annotated, problems = [], []
    owners: dict[Path, Path] = {}
    for image in images:
        path = labels.of(image)
        if path is not None and owners.setdefault(path, image).suffix != image.suffix:
            reason = f"its label file is also that of {owners[path]}"
            problems.append(Problem("ambiguous image", image, reason))
            continue
        boxes: list[tuple[float, float, float, float]] = []
        names: list[str] = []
        try:
            lines = [] if path is None else read_text(path).splitlines()
            for number, line in enumerate(lines, 1):
                if values := line.split():
                    name, box = _parse(values, class_names, keypoints, f"line {number}")
                    names.append(name)
                    boxes.append(box)
        except ValueError as error:
            assert path is not None
            reason = f"its label file is not in the YOLO format: {error}"
            problems.append(Problem("malformed annotation", image, reason))
        else:
            annotated.append(AnnotatedImage(image, boxes, names, relative=True))
    return annotated, problems


def _parse(
    values: list[str], class_names: Mapping[int, str], keypoints: int, where: str
) -> tuple[str, tuple[float, float, float, float]]:
    try:
        class_id, *numbers = map(float, values)
        if not class_id.is_integer():
            raise ValueError(f"the class must be a whole number. Received: {values[0]}")
        box = _box(numbers, keypoints)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{where}: {str(error)[:200]}") from error
    return class_names.get(int(class_id), f"id {int(class_id)}"), box


def _box(values: list[float], keypoints: int) -> tuple[float, float, float, float]:
    if len(values) == 4 or (keypoints and len(values) == 4 + keypoints):
        x, y, width, height = values[:4]
        return x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if len(values) < 6 or len(values) % 2:
        expected = f", or by 4 and {keypoints} of key points" if keypoints else ""
        raise ValueError(
            f"a class must be followed by 4 numbers, or by 3 or more corners{expected}. Received: "
            f"{len(values)} numbers"
        )
    xs, ys = values[0::2], values[1::2]
    return min(xs), min(ys), max(xs), max(ys)
