"""`Format`: a dataset format, with the functions that recognize and read it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from cspdarknet.data.annotations import Annotations
from cspdarknet.data.files import DatasetFiles

# Certainties: how much of a format has been recognized.
NAMED = 1.0  # the user named the file
PACKED = 0.97  # a manifest that only this package writes
DECLARED = 0.95  # a file declares the classes and the splits
LISTED = 0.93  # likewise, in a format that many a data.yaml was made from
RECOGNIZED = 0.9  # the content of annotation files is in the format
RELATED = 0.85  # likewise, of files that are often left beside those of another format
CONVENTION = 0.7  # only the names of files and folders
FOLDERS = 0.5  # only folders of images
UNLIKELY = 0.2  # read only if nothing else fits


class Match(NamedTuple):
    """A format that a dataset may be in.

    Attributes:
        certainty: how certain it is, in 0..1.
        reason: what was recognized, as the end of a sentence about the dataset.
    """

    certainty: float
    reason: str


@dataclass(frozen=True)
class Format:
    """A dataset format.

    Attributes:
        name: its name.
        task: `"classification"` or `"detection"`.
        layout: which files a dataset in this format has, for the messages.
        match: returns how certainly a dataset is in the format, or `None`.
        read: returns the annotations of a dataset.
        read_multi_label: returns those of images of any number of classes, as `MultiLabelImage`;
            `None` if the format has one class for each image.
    """

    name: str
    task: str
    layout: str
    match: Callable[[DatasetFiles], Match | None]
    read: Callable[[DatasetFiles], Annotations[Any]]
    read_multi_label: Callable[[DatasetFiles], Annotations[Any]] | None = None
