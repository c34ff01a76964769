"""Files of a dataset folder: listed once, and found by the references of annotation files."""

import json
import posixpath
import re
import unicodedata
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Container, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from cspdarknet.data.splits import SPLIT_NAMES, split_name
from cspdarknet.images import has_image_suffix, walk, without_cached_arrays

# Folders of annotation files, whose images are beside the folder.
ANNOTATION_FOLDERS = ("annotations", "annotation", "annots", "labels", "json")
# Number of references that decide which folder they are relative to.
VOTERS = 50
# No text file of annotations is larger.
MAX_TEXT_BYTES = 200_000_000
UNLISTED = (OSError, ValueError)  # of names that no file can have


class DatasetFiles:
    r"""The files of a dataset: the folder, listed once, and the file that the user named.

    Files have names: their paths relative to the root, with slashes. Hidden files and folders are
    left out; linked folders are followed, each folder once.

    Args:
        source: a folder; or one annotation file, whose images are beside it or in folders nearby.

    Attributes:
        root: the folder.
        file: name of the annotation file that the user named, or `None`.

    Raises:
        ValueError: if there is no such file or folder, or it cannot be read.

    Example:
        >>> Path("pets/cat").mkdir(parents=True)
        >>> Path("pets/cat/a.jpg").touch()
        >>> files = DatasetFiles("pets")
        >>> files.images, files.locate(["cat/a.jpg", "C:\\photos\\A.JPG"], "")
        (['cat/a.jpg'], [PosixPath('pets/cat/a.jpg'), PosixPath('pets/cat/a.jpg')])
    """

    def __init__(self, source: str | Path) -> None:
        path = Path(source)
        if not path.exists():
            raise ValueError(f"There is no folder or file {path}.")
        self.root, self.file = path, None
        if not path.is_dir():
            if not path.is_file():
                raise ValueError(f"{path} is neither a folder nor a file.")
            folder = path.absolute().parent.name.lower()
            self.root = path.parent.parent if folder in ANNOTATION_FOLDERS else path.parent
            self.file = path.relative_to(self.root).as_posix()
        self._json: dict[str, Any] = {}

    # What there is.

    @cached_property
    def names(self) -> list[str]:
        """Names of all files, sorted."""
        return sorted(walk(self.root))

    @cached_property
    def images(self) -> list[str]:
        """Names of the image files, sorted. Broken links are listed, and reported as missing."""
        return without_cached_arrays(name for name in self.names if has_image_suffix(name))

    def with_suffix(self, *suffixes: str) -> list[str]:
        """Return the names of the files with one of these suffixes, in lower or upper case.

        If the user named one file, only this file is considered.
        """
        names = self.names if self.file is None else [self.file]
        return [name for name in names if name.lower().endswith(suffixes)]

    def below(self, folder: str) -> list[str]:
        """Return the names of the images in a folder and its subfolders."""
        if not folder:
            return self.images
        first, last = (bisect_left(self.images, folder + end) for end in ("/", "0"))  # "0" > "/"
        return self.images[first:last]

    @cached_property
    def image_folders(self) -> set[str]:
        """The folders that have images in them, not only below."""
        return {posixpath.dirname(name) for name in self.images}

    @cached_property
    def subfolders(self) -> dict[str, list[str]]:
        """The subfolders of each folder that have images in them or below."""
        found: dict[str, set[str]] = defaultdict(set)
        for folder in self.image_folders:
            while folder:
                parent = posixpath.dirname(folder)
                found[parent].add(folder)
                folder = parent
        return {parent: sorted(folders) for parent, folders in found.items()}

    def path(self, name: str) -> Path:
        """Return the path of a name."""
        return self.root / name

    def get(self, name: str) -> str | None:
        """Return the name of a file that may be written in other case, or `None`."""
        return self._by_lower_name.get(posixpath.normpath(name).lower())

    @cached_property
    def _by_lower_name(self) -> dict[str, str]:
        return {name.lower(): name for name in reversed(self.names)}

    # What is in them.

    def text(self, name: str) -> str:
        """Return the content of a text file; see `read_text`."""
        return read_text(self.path(name))

    def json(self, name: str) -> Any:
        """Return the content of a JSON file, which is parsed once.

        Raises:
            ValueError: if it is not JSON.
        """
        if name not in self._json:
            self._json[name] = read_json(self.path(name))
        return self._json[name]

    # Where the images are.

    def locate(
        self, references: Sequence[str], near: str, split: str | None = None
    ) -> list[Path | None]:
        """Find the images that an annotation file refers to.

        A reference is a path relative to the annotation file, to a folder near it, or to a folder
        of another machine; upper and lower case are the same, and so are slashes and backslashes.

        Args:
            references: the references of one annotation file.
            near: name of its folder.
            split: the split that it is of: among images of the same name, one in a folder of this
                split is taken.

        Returns:
            The path of each image. It does not exist if the image is missing, and it is `None` if
            several images fit equally well.
        """
        wanted = [normalized(reference) for reference in references]
        base = self._base(wanted[:VOTERS], near, split)
        return [
            self._locate(reference, name, base, near, split)
            for reference, name in zip(references, wanted, strict=True)
        ]

    def _locate(
        self, reference: str, name: str, base: str, near: str, split: str | None
    ) -> Path | None:
        for folder in (base, near):
            direct = _join(folder, name)
            if direct is not None and self._has(direct):
                return self.path(direct)
        if is_file(Path(reference)) and Path(reference).is_absolute():
            root, path = self.root.absolute(), Path(reference)
            return self.root / path.relative_to(root) if path.is_relative_to(root) else path
        outside = self.path(near) / reference  # beyond the root, such as `../images/a.jpg`
        if ".." in name and is_file(outside):
            return outside
        fitting = [
            item for item in self._fitting(name) if self._may_be(item, name, base, near, split)
        ]
        best = max((_rank(item, name, near, split) for item in fitting), default=None)
        chosen = [item for item in fitting if _rank(item, name, near, split) == best]
        if len(chosen) > 1:
            return None
        return self.path(chosen[0] if chosen else posixpath.join(base, name.lstrip("/")))

    def _has(self, name: str) -> bool:
        # One file is named: the folder that it is in may be large, and need not be listed.
        if self.file is not None and "names" not in self.__dict__:
            return is_file(self.path(name))
        return name in self._name_set

    @cached_property
    def _name_set(self) -> set[str]:
        return set(self.names)

    @cached_property
    def _by_file_name(self) -> dict[str, list[str]]:
        """The images by their file names, and by these without the suffix, in lower case."""
        found = defaultdict(list)
        for name in self.images:
            last = folded(posixpath.basename(name))
            found[last].append(name)
            found[posixpath.splitext(last)[0]].append(name)
        return found

    def _fitting(self, name: str) -> list[str]:
        """Return the images that have the file name of a reference."""
        return self._by_file_name.get(folded(posixpath.basename(name)), [])

    def _may_be(self, item: str, name: str, base: str, near: str, split: str | None) -> bool:
        """Whether an image of the same file name may be what a reference means.

        It is not if it is in another folder than the reference says and that folder has images;
        or if other images are beside the annotation file, and it is elsewhere; or if it is in a
        folder of another split than its annotation file and the others are not.
        """
        folder = posixpath.dirname(item)
        if not in_the_stated_folder(folder, posixpath.dirname(name), self.folder_ends):
            return False
        if "/" not in name and base == near and near in self.image_folders:
            return f"{folder}/".startswith(f"{near}/".lstrip("/"))
        if "/" in name or split in (None, "train"):  # which files without a split have, too
            return True
        return _closeness(folder, "", split)[0] >= 0 or _closeness(base, "", split)[0] < 0

    @cached_property
    def folder_ends(self) -> set[str]:
        """The folders that have images, as `in_the_stated_folder` takes them."""
        return ends_of_folders(self.image_folders)

    def _base(self, wanted: Sequence[str], near: str, split: str | None) -> str:
        """Return the folder that most of the references are relative to."""
        above = posixpath.dirname(near)
        usual = [near, *(posixpath.join(folder, "images") for folder in (near, above)), above]
        if self.file is not None:
            stem = Path(self.file).stem.removeprefix("instances_")
            usual += [posixpath.join(above, stem), posixpath.join(above, "images", stem)]
            usual += [posixpath.join(near, stem)]
            counts = {f: sum(self._has(_join(f, n) or "") for n in wanted) for f in usual}
            best = max(usual, key=lambda folder: counts[folder])
            if counts[best]:
                return best
        votes: Counter[str] = Counter()
        for name in wanted:
            parts = name.count("/") + 1
            for fitting in self._fitting(name):
                if fitting.lower().endswith(f"/{name}".lower()) or fitting.lower() == name.lower():
                    votes["/".join(fitting.split("/")[:-parts])] += 1

        def certainty(folder: str) -> tuple[int, ...]:
            fits, *others = _closeness(folder, near, split)
            # Files without a split are of the training split, too.
            contradicts = fits < 0 and split != "train"
            is_beside = folder == near and votes[near] > 0
            return is_beside, not contradicts, votes[folder], fits, *others

        certainties = {folder: certainty(folder) for folder in votes}
        most = max(certainties.values(), default=())
        likely = [folder for folder in votes if certainties[folder] == most]
        return likely[0] if len(likely) == 1 else near


def normalized(reference: str) -> str:
    """Return a reference with slashes, and without a drive or a leading `./`."""
    text = re.sub("^[A-Za-z]:", "", reference.strip().replace("\\", "/"))
    return posixpath.normpath(text) if text else ""


def folded(name: str) -> str:
    """Return a name in lower case and in the composed form of Unicode, to compare names.

    Archives of macOS have the other form.
    """
    return name.lower() if name.isascii() else unicodedata.normalize("NFC", name).lower()


def ends_of_folders(folders: Iterable[str]) -> set[str]:
    """Return each folder without its first parts, in lower case: `a/b` and `b` for `a/b`."""
    ends = set()
    for folder in folders:
        parts = folded(folder).split("/")
        ends |= {"/".join(parts[i:]) for i in range(len(parts))}
    return ends - {""}


def in_the_stated_folder(folder: str, stated: str, ends: Container[str]) -> bool:
    """Whether a file may be meant by a path of the same file name, but of another folder.

    Args:
        folder: folder of the file.
        stated: folder of the path. Its last parts that are a folder of the dataset must agree; if
            there is no such folder, it is one of another machine.
        ends: folders of the dataset, as `ends_of_folders` returns them.

    Example:
        >>> ends = ends_of_folders(["images/day1", "images/day2"])
        >>> in_the_stated_folder("images/day2", "data/day1", ends)
        False
    """
    parts = folded(stated).split("/")
    tails = ("/".join(parts[i:]) for i in range(len(parts)))
    tail = next((tail for tail in tails if tail in ends), "")
    return not tail or f"/{folded(folder)}".endswith(f"/{tail}")


def _join(folder: str, name: str) -> str | None:
    """Return a reference relative to a folder as a name; `None` if it is outside the root."""
    joined = posixpath.normpath(posixpath.join(folder, name))
    return None if joined.startswith(("../", "/")) else joined


def _closeness(folder: str, near: str, split: str | None) -> tuple[int, int, int]:
    """Rank a folder: by the split in its name, by what it shares with another, by its depth."""
    words = {split_name(part) for part in folder.split("/")}
    fits = 0 if split is None else (split in words) - bool(words & (set(SPLIT_NAMES) - {split}))
    shared = shared_parts(folder.split("/"), near.split("/")) if near else 0
    return fits, shared, -folder.count("/")


def _rank(item: str, name: str, near: str, split: str | None) -> tuple[int, ...]:
    """Rank an image as the target of a reference: by the parts of the path that agree first."""
    agreeing = shared_parts(folded(item).split("/")[::-1], folded(name).split("/")[::-1])
    return (agreeing, *_closeness(posixpath.dirname(item), near, split)[:2])


def shared_parts(a: Sequence[str], b: Sequence[str]) -> int:
    """Return the number of parts at the beginning of two paths that are equal."""
    pairs = enumerate(zip(a, b, strict=False))
    return next((i for i, (x, y) in pairs if x != y), min(len(a), len(b)))


def is_file(path: Path) -> bool:
    """Whether there is a file of this name, which may be one that no file can have."""
    try:
        return path.is_file()
    except UNLISTED:
        return False


def read_text(path: Path) -> str:
    """Read a text file in UTF-8, or in UTF-16 with a byte order mark, as Windows writes them.

    Raises:
        ValueError: if it is not such text, is larger than 200 MB, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_TEXT_BYTES + 1)
        if len(content) > MAX_TEXT_BYTES:
            raise ValueError(f"{path} is larger than {MAX_TEXT_BYTES:,} bytes.")
        is_utf16 = content[:2] in (b"\xff\xfe", b"\xfe\xff")
        return content.decode("utf-16" if is_utf16 else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8: {error}. Save it in UTF-8.") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        ValueError: if it is not JSON, or cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(1000)
            start = head.decode(json.detect_encoding(head), "ignore").lstrip("\ufeff \r\n\t")
            if not start.startswith(("{", "[")):  # before a large file is read
                raise ValueError(f"it begins with {start[:20]!r}")
            file.seek(0)
            return json.loads(file.read())
    except MemoryError as error:
        raise ValueError(f"{path} is too large for the memory.") from error
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a JSON file: {error}") from error
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror}.") from error


def as_name(value: Any) -> str:
    """Return a name from a file as text, if it is text or a number.

    Raises:
        ValueError: if it is something else: nested aliases of YAML would fill the memory as text,
            and words such as `yes` and `no`, which YAML reads as booleans, would be changed.
    """
    if type(value) not in (str, int, float):
        raise ValueError(f"names must be text (in quotes). Received: {type(value).__name__}")
    return str(value)
