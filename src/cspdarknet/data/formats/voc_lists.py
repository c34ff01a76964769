"""Lists of images of Pascal VOC, such as `ImageSets/Main/train.txt`."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Container, Iterable
from pathlib import PurePosixPath

from cspdarknet.data.files import DatasetFiles, normalized, shared_parts
from cspdarknet.data.splits import split_name
from cspdarknet.images import has_image_suffix

WITH_NUMBERS = re.compile(r"(.*?\S)(\s+-?\d+)+")


def by_reference(names: Iterable[str]) -> dict[str, list[str]]:
    """Return the XML files by each form in which a list may name them: `a`, `day1/a`, ..."""
    found = defaultdict(list)
    for name in names:
        parts = posixpath.splitext(name)[0].split("/")
        for i in range(len(parts)):
            found["/".join(parts[i:])].append(name)
    return found


def referenced(by_reference: dict[str, list[str]], reference: str, list_name: str) -> list[str]:
    """Return the XML files that a line of a list names, with or without its folders.

    Of several, those are taken that share the most folders with the list.
    """
    parts = reference.split("/")
    tails = ("/".join(parts[i:]) for i in range(len(parts)))
    found = next((by_reference[tail] for tail in tails if tail in by_reference), [])
    near = {name: shared_parts(name.split("/"), list_name.split("/")) for name in found}
    return [name for name in found if near[name] == max(near.values())]


def list_files(files: DatasetFiles) -> dict[str, str]:
    """Return the lists of images, such as `ImageSets/Main/train.txt`, and the split of each.

    There may also be a list for each class, such as `bird_train.txt`.
    """
    if files.file is not None:
        return {}
    found = {}
    for name in files.with_suffix(".txt"):
        if split := split_name(PurePosixPath(name).stem, exact=True):
            found[name] = split
    main = {_above(name) for name in found if _is_main(name)}
    # Beside it are those of other tasks, such as `Segmentation/train.txt`.
    found = {n: s for n, s in found.items() if _is_main(n) or _above(n) not in main}
    both = {name for name in found if PurePosixPath(name).stem.lower() == "trainval"}
    trained = {posixpath.dirname(n) for n in found if found[n] == "train" and n not in both}
    return {n: s for n, s in found.items() if n not in both or posixpath.dirname(n) not in trained}


def _is_main(name: str) -> bool:
    return posixpath.basename(posixpath.dirname(name)).lower() == "main"


def _above(name: str) -> str:
    return posixpath.dirname(posixpath.dirname(name))


def references(files: DatasetFiles, name: str, known: Container[str]) -> list[str]:
    """Return the images that a list names; behind a name there may be numbers, such as its class.

    Args:
        files: the files of the dataset.
        name: the list.
        known: the names that are known as a whole.
    """
    found = []
    for line in filter(None, map(str.strip, files.text(name).splitlines())):
        reference, numbered = _stem(normalized(line)), WITH_NUMBERS.fullmatch(line)
        if numbered and reference not in known:
            reference = _stem(normalized(numbered[1]))
        found.append(reference)
    return found


def _stem(name: str) -> str:
    """Return a reference without its suffix, if it has one; names may have dots."""
    stem, suffix = posixpath.splitext(name)
    return stem if has_image_suffix(name) or suffix.lower() == ".xml" else name
