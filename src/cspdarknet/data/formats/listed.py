"""Annotation files that list many images with their objects: what their readers share."""

import posixpath
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from cspdarknet.data.annotations import AnnotatedImage, Annotations
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats.format import NAMED, Match
from cspdarknet.data.formats.merging import MergedFiles, ambiguous, in_reading_order
from cspdarknet.data.formats.values import Box
from cspdarknet.data.problems import Problem, count_of

# Of a folder of more files, this many are looked at.
MAX_FILES = 50
LOOKED_AT = 3


class ListedImage(NamedTuple):
    """An image as an annotation file lists it.

    Attributes:
        reference: how the file names it.
        objects: class name and box of each object. The box is `None` for points, lines and others
            that have none; then their type is given in place of the class.
        size: width and height that the file states, if it does.
        split: the split that the file states for it, if it does.
        values: of a table of numbers: the text of each column.
        origin: of a table of numbers: the table, and the line.
    """

    reference: str
    objects: list[tuple[str, Box | None]]
    size: tuple[int, int] | None = None
    split: str | None = None
    values: Mapping[str, str] | None = None
    origin: tuple[Path, str] = (Path(), "")


@dataclass
class Listing:
    """The content of an annotation file.

    Attributes:
        images: the images.
        left_out: references of the images whose annotations cannot be read.
        problems: the problems of these.
        class_names: the declared classes.
        used: other files that were read with it.
    """

    images: list[ListedImage] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    class_names: Sequence[str] = ()
    used: list[Path] = field(default_factory=list)

    def read(
        self,
        path: Path,
        entries: Iterable[tuple[str, Any]],
        reference: Callable[[Any], str],
        image: Callable[[str, Any], ListedImage],
    ) -> None:
        """Add the entries of a file; those that raise a `ValueError` become problems.

        Args:
            path: the file.
            entries: where each is, and the entry.
            reference: returns how an entry names its image.
            image: returns the image of a reference and an entry.
        """
        for where, entry in entries:
            name = ""
            try:
                name = reference(entry)
                self.images.append(image(name, entry))
            except ValueError as error:
                self.left_out += [name] if name else []
                self.problems.append(
                    Problem("malformed annotation", path, str(error), name or where)
                )
        self.problems += without_box(path, self.images)


def read_listed(
    files: DatasetFiles,
    names: Sequence[str],
    read_file: Callable[[DatasetFiles, str], Listing],
    build: Callable[[Path, ListedImage], Any] | None = None,
) -> Annotations[Any]:
    """Read annotation files, and merge them.

    Args:
        files: the files of the dataset.
        names: the annotation files.
        read_file: reads one of them.
        build: returns the annotations of an image file; by default `annotated`.

    Raises:
        ValueError: if there is none, one cannot be read, or two of a split describe some of the
            same images.
    """
    if not names:
        raise ValueError(f"{files.root} has no file in this format.")
    merged, used = MergedFiles(files), set[Path]()
    for split, name in in_reading_order(names, files):
        listing = read_file(files, name)
        found = _located(files, name, split, listing.images)
        references, paths = [image.reference for image, _ in found], [path for _, path in found]
        try:
            if not merged.claims(split, name, references, paths):
                continue
            merged.add(split, (), listing.class_names, listing.problems)
        except ValueError as error:
            raise ValueError(f"{files.path(name)}: {error}") from error
        for image, path in found:
            if path is None:
                merged.problems.append(ambiguous(files.path(name), image.reference))
            else:
                merged.add(image.split or split, [(build or annotated)(path, image)])
        # The images that are left out are named in problems: they are not unlabeled.
        left_out = files.locate(listing.left_out, posixpath.dirname(name), split)
        used |= {path for path in (*left_out, *listing.used) if path is not None}
    annotations = merged.annotations()
    return replace(annotations, used=annotations.used | used)


def _located(
    files: DatasetFiles, name: str, file_split: str, images: Sequence[ListedImage]
) -> list[tuple[ListedImage, Path | None]]:
    by_split: dict[str, list[ListedImage]] = defaultdict(list)
    for image in images:
        by_split[image.split or file_split].append(image)
    found: list[tuple[ListedImage, Path | None]] = []
    for split, group in by_split.items():
        references = [image.reference for image in group]
        paths = files.locate(references, posixpath.dirname(name), split)
        found += zip(group, paths, strict=True)
    return found


def annotated(path: Path, image: ListedImage) -> AnnotatedImage:
    """Return the annotations of an image file."""
    pairs = [(name, box) for name, box in image.objects if box is not None]
    return AnnotatedImage(
        path, [box for _, box in pairs], [name for name, _ in pairs], size=image.size
    )


def without_box(path: Path, images: Iterable[ListedImage]) -> list[Problem]:
    """Return notes of the annotations of a file that have no box."""
    counts = Counter(kind for image in images for kind, box in image.objects if box is None)
    return [
        Problem("annotation without box", path, f"{count_of(count, 'annotation')} of type {kind}")
        for kind, count in counts.items()
    ]


def read_objects(
    items: Iterable[Any], what: str, read: Callable[[Any], tuple[str, Box | None]]
) -> list[tuple[str, Box | None]]:
    """Read the objects of an image.

    Args:
        items: the objects, as the file gives them.
        what: what one of them is called, for errors.
        read: returns class name and box of an object.

    Raises:
        ValueError: if one cannot be read; it gives its number.
    """
    objects = []
    for number, item in enumerate(items, 1):
        try:
            objects.append(read(item))
        except ValueError as error:
            raise ValueError(f"{what} {number}: {error}") from error
    return objects


def match_files(
    files: DatasetFiles, names: Sequence[str], certainty: float, what: str
) -> Match | None:
    """Return the match of the files that are in a format, if there are any.

    Args:
        files: the files of the dataset.
        names: the files that are in the format.
        certainty: the certainty of a folder with such files.
        what: what was recognized, as the end of a sentence about the first of the files.
    """
    if not names:
        return None
    return Match(certainty if files.file is None else NAMED, f"{names[0]} {what}")


def few_of_each_folder(names: Sequence[str]) -> list[str]:
    """Return all files of folders with few of them, and some of the others, to recognize a format.

    A folder of many files has one for each image.
    """
    by_folder: Mapping[str, list[str]] = defaultdict(list)
    for name in names:
        by_folder[posixpath.dirname(name)].append(name)
    return [
        name
        for group in by_folder.values()
        for name in (group if len(group) <= MAX_FILES else group[:LOOKED_AT])
    ]


def json_files(
    files: DatasetFiles, is_format: Callable[[Any], bool], *, few: bool = False
) -> list[str]:
    """Return the JSON files whose content is in a format.

    Args:
        files: the files of the dataset.
        is_format: returns whether a content is; it may be of any type.
        few: whether `few_of_each_folder` are enough.
    """
    names = files.with_suffix(".json")
    found = []
    for name in few_of_each_folder(names) if few else names:
        try:
            if is_format(files.json(name)):
                found.append(name)
        except ValueError:
            continue
    return found
