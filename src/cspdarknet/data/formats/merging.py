"""Merging of the annotation files of a dataset, each of which describes many images."""

import posixpath
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from cspdarknet.data.annotations import Annotations, AnyImage
from cspdarknet.data.files import DatasetFiles, normalized
from cspdarknet.data.problems import Problem, count_of
from cspdarknet.data.splits import SPLIT_NAMES, split_name


def split_of(name: str) -> str | None:
    """Return the split in the name of a file, or else in that of the nearest folder with one."""
    stem = posixpath.splitext(posixpath.basename(name))[0]
    parts = (stem, *reversed(name.split("/")[:-1]))
    return next((split for part in parts if (split := split_name(part))), None)


def split_of_folder(name: str) -> str | None:
    """Return the split in the name of the nearest folder of a file with one.

    The name of a file that describes one image is that of the image, which may be of anything.
    """
    return split_of(f"{posixpath.dirname(name)}/")


def in_reading_order(names: Sequence[str], files: DatasetFiles) -> list[tuple[str, str]]:
    """Return the split and the name of each annotation file, in the order in which they are read.

    Files that may repeat others come last: those of no split, or of two (`trainval`).
    """
    if files.file is not None:
        return [(split_of(posixpath.basename(files.file)) or "train", files.file)]
    splits = list(SPLIT_NAMES)

    def order(name: str) -> tuple[bool, bool, int, str]:
        split = split_of(name)
        last = posixpath.basename(name)
        return (
            _may_repeat(name),
            not last.startswith("instances"),  # COCO's, of which key points repeat the images
            splits.index(split or "train"),
            name,
        )

    return [(split_of(name) or "train", name) for name in sorted(names, key=order)]


def _may_repeat(name: str) -> bool:
    return split_of(name) is None or "trainval" in name.lower()


def ambiguous(path: Path, reference: str) -> Problem:
    """Return the problem of a reference that several images match."""
    return Problem("ambiguous image", path, f"several images have the name {reference}")


class MergedFiles:
    """The annotations of several files, merged.

    Args:
        files: the files of the dataset.

    Attributes:
        problems: the problems so far.
    """

    def __init__(self, files: DatasetFiles) -> None:
        self._files = files
        self._splits: dict[str, list[Any]] = {}
        self._classes: dict[str, None] = {}
        self._used: list[str] = []
        self._owners: dict[tuple[str, str], str] = {}
        self.problems: list[Problem] = []

    def claims(
        self, split: str, name: str, references: Sequence[str], paths: Sequence[Path | None]
    ) -> bool:
        """Whether a file is read: not if its images are those of files that were read before.

        Args:
            split: the split of the file.
            name: name of the file.
            references: how it names the images that it describes.
            paths: these images, as `DatasetFiles.locate` returns them.

        Raises:
            ValueError: if that is so for some of its images only.
        """
        pairs = zip(references, paths, strict=True)
        wanted = {str(path or normalized(reference)) for reference, path in pairs}
        splits = SPLIT_NAMES if _may_repeat(name) else (split,)
        owners = {
            image: self._owners[key, image]
            for image in wanted
            for key in splits
            if (key, image) in self._owners
        }
        if not owners:
            self._owners |= {(split, image): name for image in wanted}
            self._used.append(name)
            return True
        other = next(iter(owners.values()))
        if len(owners) < len(wanted):
            raise ValueError(
                f"{count_of(len(owners), 'image')} of {len(wanted)} are also in {other}. Remove "
                "one of the files, or name one instead of the folder"
            )
        reason = f"it describes the same images as {other}, which is read instead"
        self.problems.append(Problem("unused file", self._files.path(name), reason))
        return False

    def add(
        self,
        split: str,
        images: Iterable[AnyImage],
        class_names: Sequence[str] = (),
        problems: Iterable[Problem] = (),
    ) -> None:
        """Add the images, the declared classes and the problems of a file.

        Raises:
            ValueError: if the file declares two classes of the same name.
        """
        counts = Counter(class_names)
        if repeated := [name for name, count in counts.items() if count > 1]:
            raise ValueError(f"it has several classes of the same name: {', '.join(repeated)}.")
        self._splits.setdefault(split, []).extend(images)
        self._classes |= dict.fromkeys(class_names)
        self.problems += problems

    def annotations(self) -> Annotations[Any]:
        """Return what has been added."""
        return Annotations(
            self._splits,
            tuple(self._classes) or None,
            self.problems,
            frozenset(self._files.path(name) for name in self._used),
        )
