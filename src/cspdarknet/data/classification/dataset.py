"""Find photos and their classes, in folders or a CSV file, and split them."""

import csv
import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cspdarknet.images import SUFFIXES

# Names of the three parts, with those that other tools use.
PARTS = {
    "train": ("train", "training"),
    "validation": ("validation", "val", "valid"),
    "test": ("test",),
}
CSV_PATH = ("path", "file", "filename", "image", "photo")
CSV_LABEL = ("label", "class", "class_name", "category")
CSV_PART = ("split", "part", "subset")


@dataclass(frozen=True)
class ClassificationDataset:
    """Photos, each of one class.

    Attributes:
        class_names: names of the classes, in the order of the labels.
        paths: the files.
        labels: int array, the index of each photo's class.
    """

    class_names: tuple[str, ...]
    paths: tuple[Path, ...]
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.paths)

    def take(self, indices: Sequence[int] | np.ndarray) -> "ClassificationDataset":
        """Return the photos at these places."""
        picked = [int(i) for i in indices]
        return ClassificationDataset(
            self.class_names, tuple(self.paths[i] for i in picked), self.labels[picked]
        )

    @property
    def counts(self) -> np.ndarray:
        """Number of photos of each class."""
        return np.bincount(self.labels, minlength=len(self.class_names))

    @property
    def fingerprint(self) -> str:
        """Tell these photos, in this order and with these labels, from any others.

        It does not depend on where the folder of all of them is.
        """
        digest = hashlib.sha256("\n".join(self.class_names).encode(errors="surrogateescape"))
        places = [path.absolute() for path in self.paths]
        root = os.path.commonpath([path.parent for path in places]) if places else ""
        for path, label in zip(places, self.labels, strict=True):
            name = Path(os.path.relpath(path, root)).as_posix()
            digest.update(f"\0{name}\0{label}".encode(errors="surrogateescape"))
        return digest.hexdigest()


@dataclass(frozen=True)
class ClassificationSplits:
    """The parts of a data set; `test` is `None` where there is none."""

    train: ClassificationDataset
    validation: ClassificationDataset
    test: ClassificationDataset | None = None

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the labels."""
        return self.train.class_names


# What is known of one photo before labels are numbers.
Entry = tuple[Path, str]


def load_classification_dataset(
    data: str | Path, validation_split: float = 0.15, seed: int = 0
) -> ClassificationSplits:
    """List the photos of a data set with their classes.

    Three forms are known: a folder with a subfolder for each class; a folder with `train`,
    `validation` (or `val`) and perhaps `test`, each of that form; and a CSV file with the columns
    `path` (relative to the file), `label`, and perhaps `split`. Where no part is for validation,
    a share of each class is set aside, the same for the same seed.

    Args:
        data: the folder or the CSV file.
        validation_split: share of each class that is set aside, between 0 and 1.
        seed: of the split.

    Returns:
        `ClassificationSplits`. The classes are those of the training part, sorted by name.

    Raises:
        ValueError: if there are no photos, fewer than two classes, or classes outside the
            training part.

    Example:
        >>> for name in ("cat/1", "cat/2", "dog/1", "dog/2"):
        ...     path = Path(f"pets/{name}.png")
        ...     path.parent.mkdir(parents=True, exist_ok=True)
        ...     Image.new("RGB", (8, 8)).save(path)
        >>> splits = load_classification_dataset("pets", validation_split=0.5)
        >>> splits.class_names, len(splits.train), len(splits.validation)
        (('cat', 'dog'), 2, 2)
    """
    if not 0 < validation_split < 1:
        raise ValueError(
            f"`validation_split` must be between 0 and 1. Received: {validation_split}"
        )
    path = Path(data)
    if path.is_dir():
        parts = _from_folder(path)
    elif path.suffix.lower() == ".csv" and path.is_file():
        parts = _from_csv(path)
    else:
        raise ValueError(f"{path} is neither a folder of photos nor a CSV file.")
    names = _class_names(path, parts)
    found = {part: _labelled(entries, names) for part, entries in parts.items() if entries}
    if "validation" not in found:
        found["train"], found["validation"] = split(found["train"], validation_split, seed)
    return ClassificationSplits(found["train"], found["validation"], found.get("test"))


def load_classification_split(
    data: str | Path, class_names: Sequence[str]
) -> ClassificationDataset:
    """List the photos of a data set for a model that knows these classes.

    The `test` part is taken where there is one, then `validation`, else all photos.

    Raises:
        ValueError: if there are no photos, or one is of another class.
    """
    path = Path(data)
    parts = _from_csv(path) if path.is_file() else _from_folder(path)
    entries = parts.get("test") or parts.get("validation") or parts.get("train")
    if not entries:
        raise ValueError(f"{path} holds no photo in a folder of its class.")
    if unknown := sorted({label for _, label in entries} - set(class_names)):
        raise ValueError(
            f"{path} has photos of {', '.join(unknown)}; the model knows {', '.join(class_names)}."
        )
    return _labelled(entries, tuple(class_names))


def split(
    photos: ClassificationDataset, share: float, seed: int
) -> tuple[ClassificationDataset, ClassificationDataset]:
    """Set a share of each class aside, at least one photo where a class has two or more."""
    rest, aside = set_aside(photos.labels, share, seed)
    return photos.take(rest), photos.take(aside)


def set_aside(kinds: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return which photos stay and which are set aside: a share of each kind.

    Args:
        kinds: int array, the kind of each photo.
        share: share of each kind, at least one photo where there are two or more.
        seed: of the choice.

    Raises:
        ValueError: if each kind has a single photo.
    """
    rng = np.random.default_rng(seed)
    aside: list[int] = []
    for kind, count in enumerate(np.bincount(kinds)):
        indices = rng.permutation(np.flatnonzero(kinds == kind))
        aside += indices[: min(count - 1, max(1, round(count * share)))].tolist()
    if not aside:
        raise ValueError("Each class has a single photo: add some, to validate on.")
    return np.setdiff1d(np.arange(len(kinds)), aside), np.array(sorted(aside))


def _from_folder(folder: Path) -> dict[str, list[Entry]]:
    if not folder.is_dir():
        raise ValueError(f"There is no folder {folder}.")
    by_name = {child.name.lower(): child for child in folder.iterdir() if child.is_dir()}
    parts = {
        part: by_name[name] for part, names in PARTS.items() for name in names if name in by_name
    }
    # A part has folders of classes; a folder of photos that is named like one is a class.
    if not parts or not all(any(c.is_dir() for c in part.iterdir()) for part in parts.values()):
        return {"train": _photos_by_class(folder)}
    return {part: _photos_by_class(place) for part, place in parts.items()}


def _photos_by_class(folder: Path) -> list[Entry]:
    entries: list[Entry] = []
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.name.startswith("."):
            photos = (path for path in child.rglob("*") if _is_photo(path, child))
            entries += [(path, child.name) for path in sorted(photos)]
    return entries


def _is_photo(path: Path, folder: Path) -> bool:
    hidden = any(name.startswith(".") for name in path.relative_to(folder).parts)
    return path.suffix.lower() in SUFFIXES and not hidden and path.is_file()


def _from_csv(path: Path) -> dict[str, list[Entry]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            columns = {(name or "").strip().lower(): name for name in reader.fieldnames or ()}
            file_column = _column(path, columns, CSV_PATH)
            label_column = _column(path, columns, CSV_LABEL)
            part_column = next((columns[name] for name in CSV_PART if name in columns), None)
            parts: dict[str, list[Entry]] = {}
            for row in reader:
                part = _part(path, row[part_column]) if part_column else "train"
                label = (row[label_column] or "").strip()
                if not label or not row[file_column]:
                    raise ValueError(f"{path}, line {reader.line_num}: no path or no label.")
                parts.setdefault(part, []).append((path.parent / row[file_column], label))
        _refuse_repeats(path, parts)
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is not a CSV file in UTF-8: {error}") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error
    return parts


def _refuse_repeats(path: Path, parts: dict[str, list[Entry]]) -> None:
    files = Counter(file for entries in parts.values() for file, _ in entries)
    if repeated := [str(file) for file, count in files.items() if count > 1]:
        raise ValueError(f"{path} names {len(repeated)} files twice, such as {repeated[0]}.")


def _column(path: Path, columns: dict[str, str], names: tuple[str, ...]) -> str:
    for name in names:
        if name in columns:
            return columns[name]
    raise ValueError(
        f"{path} needs a header with a column {names[0]!r} (or {', '.join(names[1:])}). "
        f"Found: {', '.join(columns)}"
    )


def _part(path: Path, value: str | None) -> str:
    name = (value or "").strip().lower() or "train"
    for part, names in PARTS.items():
        if name in names:
            return part
    raise ValueError(f"{path}: the split must be one of {', '.join(PARTS)}. Found: {value!r}")


def _class_names(path: Path, parts: dict[str, list[Entry]]) -> tuple[str, ...]:
    names = sorted({label for _, label in parts.get("train", [])})
    if not names:
        raise ValueError(
            f"{path} holds no photo to train on: expected a subfolder for each class "
            f"({', '.join(SUFFIXES)})."
        )
    if len(names) == 1:
        raise ValueError(f"{path} has a single class, {names[0]!r}: at least two are needed.")
    for part, entries in parts.items():
        if unknown := sorted({label for _, label in entries} - set(names)):
            raise ValueError(
                f"{path}: the {part} part has classes without training photos: "
                f"{', '.join(unknown)}."
            )
    return tuple(names)


def _labelled(entries: list[Entry], names: tuple[str, ...]) -> ClassificationDataset:
    index = {name: i for i, name in enumerate(names)}
    labels = np.array([index[label] for _, label in entries], "int64")
    return ClassificationDataset(names, tuple(path for path, _ in entries), labels)
