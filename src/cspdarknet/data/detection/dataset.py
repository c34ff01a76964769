"""Photos with boxes: what object detection is trained on and evaluated with."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cspdarknet.data.detection.annotations import Problem


@dataclass(frozen=True)
class DetectionDataset:
    """Photos, each with any number of boxes.

    Attributes:
        class_names: names of the classes, in the order of the labels.
        paths: the files. Photos without a box are examples of what is not to be found.
        boxes: for each photo a float32 array `(n, 4)`: left, top, right and bottom, in pixels of
            the upright photo.
        labels: for each photo an int64 array `(n,)`, the index of each box's class.
        ignored: for each photo a bool array `(n,)`: boxes that are not trained on, and count
            neither for nor against a detector (COCO's crowds, VOC's difficult objects).
    """

    class_names: tuple[str, ...]
    paths: tuple[Path, ...]
    boxes: tuple[np.ndarray, ...]
    labels: tuple[np.ndarray, ...]
    ignored: tuple[np.ndarray, ...]

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: Sequence[int] | np.ndarray) -> "DetectionDataset":
        """Return the photos at these places."""
        picked = [int(i) for i in indices]
        return DetectionDataset(
            self.class_names,
            tuple(self.paths[i] for i in picked),
            tuple(self.boxes[i] for i in picked),
            tuple(self.labels[i] for i in picked),
            tuple(self.ignored[i] for i in picked),
        )

    @property
    def counts(self) -> np.ndarray:
        """Number of boxes of each class, without the ignored ones."""
        counted = [
            labels[~ignored] for labels, ignored in zip(self.labels, self.ignored, strict=True)
        ]
        labels = np.concatenate(counted) if counted else np.zeros(0, "int64")
        return np.bincount(labels, minlength=len(self.class_names))

    @property
    def fingerprint(self) -> str:
        """Tell these photos, in this order and with these boxes, from any others.

        It does not depend on where the folder of all of them is.
        """
        digest = hashlib.sha256("\n".join(self.class_names).encode(errors="surrogateescape"))
        places = [path.absolute() for path in self.paths]
        root = os.path.commonpath([path.parent for path in places]) if places else ""
        for path, *arrays in zip(places, self.boxes, self.labels, self.ignored, strict=True):
            name = Path(os.path.relpath(path, root)).as_posix()
            digest.update(f"\0{name}\0{len(arrays[0])}\0".encode(errors="surrogateescape"))
            for array in arrays:
                digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class DetectionSplits:
    """The parts of a data set with boxes.

    Attributes:
        train: photos to train on.
        validation: photos to choose and judge by.
        test: photos kept apart; `None` where there are none.
        problems: what was wrong in the files and has been clipped or left out.
    """

    train: DetectionDataset
    validation: DetectionDataset
    test: DetectionDataset | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return self.train.class_names
