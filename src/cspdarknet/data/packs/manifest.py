"""The manifest of a packed dataset: its classes, and the size and checksum of each shard."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cspdarknet._arguments import MAX_CLASSES, is_integer
from cspdarknet._labels import MULTI, SINGLE
from cspdarknet.data.files import read_json
from cspdarknet.data.splits import SPLIT_NAMES

MANIFEST = "pack.json"
FORMAT, VERSION = "cspdarknet pack", 1
TASKS = ("classification", "detection", "regression")
# Formats of shards, and the suffix of their files.
SUFFIXES = {"array-record": ".array_record", "parquet": ".parquet"}
MAX_REASON = 200  # characters
SHA256 = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class ShardEntry:
    """A shard as the manifest describes it.

    Attributes:
        name: name of its files without their suffixes, such as `"train-00000"`.
        split: the split that its images are of.
        images: number of images.
        bytes: size of the file of images.
        sha256: its SHA-256.
        index_bytes: size of the index, a JSON file.
        index_sha256: its SHA-256.
    """

    name: str
    split: str
    images: int
    bytes: int
    sha256: str
    index_bytes: int
    index_sha256: str

    def __post_init__(self) -> None:
        numbers = (self.images, self.bytes, self.index_bytes)
        digests = (self.sha256, self.index_sha256)
        if self.split not in SPLIT_NAMES or not re.fullmatch(rf"{self.split}-\d+", str(self.name)):
            raise ValueError(f"a shard has the name {self.name!r} and the split {self.split!r}")
        if not all(is_integer(number) and number >= 1 for number in numbers):
            raise ValueError(f"the shard {self.name} has wrong counts")
        if not all(isinstance(text, str) and SHA256.fullmatch(text) for text in digests):
            raise ValueError(f"the shard {self.name} has wrong checksums")

    @property
    def index_file(self) -> str:
        """Name of the index."""
        return f"{self.name}.json"


@dataclass(frozen=True)
class Manifest:
    """The manifest of a packed dataset.

    Attributes:
        task: `"classification"`, `"detection"` or `"regression"`.
        to: format of the shards: `"array-record"` or `"parquet"`.
        class_names: names of the classes, by the ids in the indices; of numbers, those of the
            columns.
        declared: whether the source declared these classes and their order.
        shards: the shards.
        settings: what an interrupted packing compares before it continues.
        finished: whether all shards are written.
        labels: `"multi"` if an image may have any number of classes.
    """

    task: str
    to: str
    class_names: tuple[str, ...]
    declared: bool
    shards: tuple[ShardEntry, ...] = ()
    settings: dict[str, Any] = dataclasses.field(default_factory=dict)
    finished: bool = False
    labels: str = SINGLE

    def __post_init__(self) -> None:
        is_known = self.task in TASKS and self.to in SUFFIXES and self.labels in (SINGLE, MULTI)
        if not is_known:
            raise ValueError("it has an unknown task, kind of labels or format of shards")
        if len(self.class_names) > MAX_CLASSES or not all(
            isinstance(name, str) for name in self.class_names
        ):
            raise ValueError("its class names are not texts")
        if len({shard.name for shard in self.shards}) < len(self.shards):
            raise ValueError("it names a shard twice")

    def shard_file(self, shard: ShardEntry) -> str:
        """Return the name of the file of a shard's images."""
        return shard.name + SUFFIXES[self.to]

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as plain JSON types."""
        return {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}


def is_manifest(content: Any) -> bool:
    """Whether the content of a JSON file is that of a manifest."""
    return isinstance(content, dict) and content.get("format") == FORMAT


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises:
        ValueError: if it is damaged, or of a later version.
    """
    content = read_json(path)
    if not is_manifest(content):
        raise ValueError(f"{path} is not the manifest of a packed dataset.")
    if content.get("version") != VERSION:
        raise ValueError(
            f"{path} is of another version than {VERSION}, which this package reads: install a "
            "later one."
        )
    try:
        content = {"labels": SINGLE, **content}  # which older ones do not have
        values = {field.name: content[field.name] for field in dataclasses.fields(Manifest)}
        shards = tuple(ShardEntry(**shard) for shard in values["shards"])
        names = tuple(values["class_names"])
        return Manifest(**{**values, "shards": shards, "class_names": names})
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged: {shortened(str(error))}.") from error


def shortened(reason: str) -> str:
    """Return the beginning of a reason, which may quote what an attacker wrote."""
    return reason if len(reason) <= MAX_REASON else f"{reason[:MAX_REASON]}..."
