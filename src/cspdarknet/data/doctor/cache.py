"""Cache of the facts about image files, so that a second check of a dataset takes seconds."""

import base64
import hashlib
import json
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from cspdarknet._files import OutputFolder
from cspdarknet._prefetch import prefetch_map, thread_pool
from cspdarknet._stored_images import image_stamp
from cspdarknet.data.doctor.facts import THUMBNAIL_SIDE, ImageFacts, read_facts, read_header
from cspdarknet.images import RGB

# Raised with every change of `ImageFacts` or of how they are computed.
VERSION = 2
MAX_BYTES = 2_000_000_000
MALFORMED = (ValueError, TypeError, LookupError, AttributeError, OSError, RecursionError)
# Size in bytes and time of modification in nanoseconds.
Stamp = tuple[int, int]


class FactsCache:
    """The facts about the images of a dataset, kept in one file.

    An entry counts only as long as the image has the size and the time of modification that it had.
    A damaged or outdated file is ignored.

    Args:
        folder: folder of the file; `None` to keep nothing.
        source: the dataset. Each has a file of its own.
        channels: number of channels that the images must have. Each has a file of its own, too.

    Example:
        >>> Image.new("RGB", (80, 60), "navy").save("sea.png")
        >>> collect_facts([Path("sea.png")], FactsCache("cache", "."))[Path("sea.png")].size
        (80, 60)
        >>> FactsCache("cache", ".").get(Path("sea.png")).size
        (80, 60)
    """

    def __init__(self, folder: str | Path | None, source: str | Path, channels: int = RGB) -> None:
        self._folder = None if folder is None else Path(folder)
        location = os.path.abspath(source)  # noqa: PTH100  (links are not followed)
        key = hashlib.sha256(location.encode(errors="surrogateescape")).hexdigest()[:16]
        self._name = f"images-{key}.json" if channels == RGB else f"images-{key}-{channels}.json"
        self._channels = channels
        self._entries: dict[str, tuple[Stamp, ImageFacts]] = {}
        self._is_changed = False
        if self._folder is not None:
            self._entries = _read(self._folder / self._name)

    def get(self, path: Path) -> ImageFacts | None:
        """Return the facts about a file, or `None` if they are unknown or the file has changed."""
        entry = self._entries.get(_key(path))
        return entry[1] if entry is not None and entry[0] == _stamp(path) else None

    def read(self, path: Path) -> ImageFacts:
        """Read the facts from the file, and keep them if it could be decoded."""
        stamp = _stamp(path)
        facts = read_facts(path, self._channels)
        if stamp is not None and not facts.error:
            self._entries[_key(path)] = stamp, facts
            self._is_changed = True
        return facts

    def save(self, paths: Iterable[Path]) -> None:
        """Write the file, if there is something new.

        Args:
            paths: the images of the dataset; others are forgotten.

        Raises:
            ValueError: if the folder cannot be written.
        """
        if self._folder is None or not self._is_changed:
            return
        keys = (key for path in paths if (key := _key(path)) in self._entries)
        entries = {key: _to_json(*self._entries[key]) for key in keys}
        text = json.dumps({"version": VERSION, "images": entries}, separators=(",", ":"))
        OutputFolder(self._folder).write_text(self._name, text)
        self._is_changed = False


def collect_facts(
    paths: Iterable[Path],
    cache: FactsCache,
    workers: int = 2,
    advance: Callable[[int], None] = lambda _: None,
    decode: bool = True,
) -> dict[Path, ImageFacts]:
    """Return the facts about image files, from the cache where possible.

    Args:
        paths: the files.
        cache: the cache, which is saved, also after an interruption.
        workers: number of threads.
        advance: called with a number of images that are done, for a progress bar.
        decode: whether images that are not in the cache are decoded. Otherwise only their size is
            read.
    """
    found = {path: cache.get(path) for path in paths}
    facts = {path: known for path, known in found.items() if known is not None}
    missing = [path for path in found if path not in facts]
    advance(len(facts))
    try:
        with thread_pool(workers) as pool:
            results = prefetch_map(
                cache.read if decode else read_header, missing, pool, 4 * workers
            )
            for path, result in zip(missing, results, strict=True):
                facts[path] = result
                advance(1)
    finally:
        cache.save(found)
    return facts


def _key(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100  (links are not followed)


def _stamp(path: Path) -> Stamp | None:
    try:
        return image_stamp(path)
    except (OSError, ValueError):
        return None


def _to_json(stamp: Stamp, facts: ImageFacts) -> list[Any]:
    thumbnail = base64.b64encode(facts.thumbnail).decode()
    size = facts.size or (0, 0)
    return [*stamp, *size, facts.digest, f"{facts.hash:x}", thumbnail, int(facts.is_uniform)]


def _from_json(row: list[Any]) -> tuple[Stamp, ImageFacts]:
    """Return an entry; raises one of `MALFORMED` if it is not one."""
    length, time, width, height, digest, bits, thumbnail, is_uniform = row
    numbers = (length, time, width, height, is_uniform)
    pixels = base64.b64decode(thumbnail, validate=True)
    is_valid = (
        all(type(number) is int for number in numbers)
        and min(width, height) > 0
        and len(bytes.fromhex(digest)) == 32
        and 0 <= int(bits, 16) < 2**64
        and len(pixels) == THUMBNAIL_SIDE**2 * 3
    )
    if not is_valid:
        raise ValueError("not an entry of the cache")
    facts = ImageFacts((width, height), "", digest, int(bits, 16), pixels, bool(is_uniform))
    return (length, time), facts


def _read(path: Path) -> dict[str, tuple[Stamp, ImageFacts]]:
    """Read a cache file; a damaged one, or one of another version, is empty."""
    try:
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            return {}
        content = json.loads(path.read_bytes())
        if content["version"] != VERSION:
            return {}
        return {key: _from_json(row) for key, row in content["images"].items()}
    except MALFORMED:
        return {}
