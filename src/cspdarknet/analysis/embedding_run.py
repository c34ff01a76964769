"""`embed`: vectors of any number of image files, in a file; resumable."""

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from cspdarknet._files import OutputFolder
from cspdarknet._unfinished import LOCK, WriteError, claim
from cspdarknet.analysis.embedder import Embedder
from cspdarknet.analysis.embedding_files import check_suffix, write_file
from cspdarknet.analysis.embeddings import Embeddings, EmbeddingSettings, load_embeddings
from cspdarknet.images import ImageError, ImageFile, find_images

PART_ROWS = 256  # vectors in memory before they are written to a part
PARTS = ".parts"  # how the folder of an unfinished file ends
SUFFIX = ".safetensors"  # of the parts
OPEN_PARTS = 16  # in memory while they are joined


@dataclass(frozen=True)
class EmbeddingResult:
    """The outcome of one image file.

    Attributes:
        file: the file.
        state: `"done"`, `"kept"` if its vector is from an earlier run, or `"failed"`.
        message: why it failed.
    """

    file: ImageFile
    state: str
    message: str = ""


def embed(
    source: str | Path | Sequence[str | Path],
    model: Any,
    out: str | Path | None = None,
    *,
    progress: Callable[[int], object] | None = None,
    **options: Any,
) -> Embeddings:
    """Return one vector for each image of a folder.

    Args:
        source: a folder, whose subfolders are searched, an image file, or a list of these.
        model: as in `Embedder`.
        out: file to write, `.npz`, `.safetensors` or `.parquet`. What an earlier or interrupted
            run has written is kept where the image has not changed since. `EmbeddingRun` writes a
            file without returning its vectors, for more images than fit into memory.
        progress: called with a number of finished images.
        **options: other arguments of `Embedder`, such as `levels` and `normalize`.

    Returns:
        `Embeddings`, whose `errors` name the images that cannot be used.

    Raises:
        ValueError: if there is no image that can be used, an option does not fit the model, or
            `out` holds vectors of other settings, or of other images that still exist.

    Example:
        >>> Path("photos").mkdir()
        >>> for color in ("navy", "red"):
        ...     Image.new("RGB", (64, 48), color).save(f"photos/{color}.png")
        >>> embeddings = embed("photos", "csp_darknet_tiny_clothing", "photos.npz")
        >>> embeddings.keys, embeddings.vectors.shape
        (('navy.png', 'red.png'), (2, 384))
    """
    path = None if out is None else check_suffix(out)
    files, folder = list_images(source)
    embedder = Embedder(model, **options)
    return embed_files(files, embedder, path, folder, progress)


def embed_files(
    files: Sequence[ImageFile],
    embedder: Embedder,
    out: Path | None = None,
    folder: str = "",
    progress: Callable[[int], object] | None = None,
    drop_others: bool = False,
) -> Embeddings:
    """Return the vectors of image files, as `embed` does; `drop_others` as in `EmbeddingRun`."""
    errors: dict[str, str] = {}
    if out is not None:
        for result in EmbeddingRun(embedder, out, folder, drop_others).run(files):
            if result.state == "failed":
                errors[key_of(result.file)] = result.message
            if progress:
                progress(1)
        return replace(load_embeddings(out), errors=errors)
    keys, vectors = [], []
    with closing(embedder.stream(file.path for file in files)) as stream:
        for file, (_, vector) in zip(files, stream, strict=True):
            if isinstance(vector, ImageError):
                errors[key_of(file)] = str(vector)
            else:
                keys.append(key_of(file))
                vectors.append(vector)
            if progress:
                progress(1)
    _check_some(keys, errors)
    settings = replace(embedder.settings, folder=folder)
    return Embeddings(np.stack(vectors), keys, settings, errors)


def list_images(
    source: str | Path | Sequence[str | Path],
) -> tuple[list[ImageFile], str]:
    """List image files with their keys, and return the folder that the keys are relative to.

    The keys of several files and folders are their paths.

    Raises:
        ValueError: if there is no such file or folder, or no image.
    """
    if isinstance(source, (str, Path)):
        path = Path(source).absolute()
        return find_images(source), str(path if path.is_dir() else path.parent)
    found = [file.path for item in source for file in find_images(item)]
    paths = dict.fromkeys(path.absolute() for path in found)
    return [ImageFile(path, path) for path in paths], ""


def key_of(file: ImageFile) -> str:
    """Return the key of an image file: its path below its folder, with slashes."""
    return file.key.as_posix()


class EmbeddingRun:
    """Writes the vectors of image files to a file, in parts until it is finished.

    Any number of images takes the memory of their paths. A run can be stopped at any time: the
    folder `FILE.parts` has what is done, and the next run continues. The vector of an image that
    has not changed since is kept, so that a run after images were added computes theirs only.

    Args:
        embedder: the `Embedder`.
        out: the file, as of `embed`.
        folder: folder that the keys of the images are relative to.
        drop_others: whether vectors in `out` of images that are not given are dropped though the
            images exist; those of deleted images always are.

    Raises:
        ValueError: if `out` holds something else, or vectors of other settings.
    """

    def __init__(
        self, embedder: Embedder, out: str | Path, folder: str = "", drop_others: bool = False
    ) -> None:
        self._embedder, self.out = embedder, check_suffix(out)
        self._drop_others, self._started = drop_others, 0.0
        self._finished: Sequence[str] = ()  # keys of the file of an earlier run
        self._settings = replace(embedder.settings, folder=folder)
        self._parts = self.out.with_name(self.out.name + PARTS)
        if not self.out.parent.is_dir():
            raise ValueError(f"The folder of {out} does not exist: create {self.out.parent} first.")
        if self.out.exists():
            self._check_settings(self.out, load_embeddings(self.out).settings)

    def _check_settings(self, path: Path, stored: EmbeddingSettings) -> None:
        differences = self._settings.differences(stored)
        if self._settings.folder != stored.folder:
            differences.append(f"folder {self._settings.folder!r} and {stored.folder!r}")
        if differences:
            raise ValueError(
                "A file can hold vectors of one model, folder and settings. Received: "
                f"{path}, from an earlier run, with other ones ({'; '.join(differences)}): choose "
                "another file, or delete it."
            )

    def run(self, files: Sequence[ImageFile]) -> Iterator[EmbeddingResult]:
        """Compute the vectors of image files, and yield the outcome of each: kept ones first.

        The file is finished when the iterator is.

        Args:
            files: the files, as of `find_images`. One that cannot be read does not stop the run.

        Raises:
            ValueError: if no image can be used, another process writes the same file, or the file
                holds vectors of other images that still exist.
            OSError: if the file cannot be written.
        """
        errors: dict[str, str] = {}
        with self._locked_parts():
            known = self._known(files)
            missing = [file for file in files if key_of(file) not in known]
            for file in files:
                if key_of(file) in known:
                    yield EmbeddingResult(file, "kept")
            yield from self._embed(missing, known, errors)
            keys = [key_of(file) for file in files if key_of(file) in known]
            _check_some(keys, errors)
            if missing or known != {key: (self.out, i) for i, key in enumerate(self._finished)}:
                self._finish(keys, known)
            shutil.rmtree(self._parts)

    @contextmanager
    def _locked_parts(self) -> Iterator[None]:
        """Make the folder of the parts, which is locked until the end of the block."""
        OutputFolder(self._parts)
        with (self._parts / LOCK).open("w") as lock:
            if not _claim(lock):
                raise ValueError(f"Another process writes {self.out}: wait for its end.")
            os.utime(self._parts / LOCK)
            self._started = (self._parts / LOCK).stat().st_mtime  # by the file system's clock
            try:
                yield
            finally:
                if not any(self._parts.glob(f"*{SUFFIX}")):
                    shutil.rmtree(self._parts, ignore_errors=True)

    def _known(self, files: Sequence[ImageFile]) -> "Places":
        """Return the file and row of each vector of earlier runs whose image has not changed."""
        found: Places = {}
        if self.out.exists():
            stored = load_embeddings(self.out)
            if not self._drop_others:
                self._check_no_others(files, stored)
            self._finished = stored.keys
            found = {key: (self.out, row) for row, key in enumerate(stored.keys)}
        for path in sorted(self._parts.glob(f"*{SUFFIX}")):
            try:
                stored = load_embeddings(path)
            except ValueError:  # damaged, as by a loss of power: its images are embedded again
                path.unlink()
                continue
            self._check_settings(path, stored.settings)
            found.update((key, (path, row)) for row, key in enumerate(stored.keys))
        stamps = {path: path.stat().st_mtime for path, _ in found.values()}
        return {
            key: place
            for file in files
            if (place := found.get(key := key_of(file)))
            and stamps[place[0]] >= _modified(file.path)
        }

    def _check_no_others(self, files: Sequence[ImageFile], stored: Embeddings) -> None:
        """Refuse to replace the vectors of images that are not given but exist."""
        given = {key_of(file) for file in files}
        paths = dict(zip(stored.keys, stored.paths, strict=True))
        others = [path for key, path in paths.items() if key not in given and path.exists()]
        if others:
            raise ValueError(
                f"{self.out} holds the vectors of {len(others):,} other images, such as "
                f"{others[0]}, which would be lost: pass the whole folder, or another file."
            )

    def _embed(
        self, files: Sequence[ImageFile], known: "Places", errors: dict[str, str]
    ) -> Iterator[EmbeddingResult]:
        """Compute vectors and write them in parts, the last one also if the run is stopped."""
        keys: list[str] = []
        vectors: list[np.ndarray] = []

        def write() -> None:
            if keys:
                path = self._new_part()
                Embeddings(np.stack(vectors), keys, self._settings).save(path)
                self._stamp(path)
                known.update((key, (path, row)) for row, key in enumerate(keys))
            keys.clear()
            vectors.clear()

        try:
            with closing(self._embedder.stream(file.path for file in files)) as stream:
                for file, (_, vector) in zip(files, stream, strict=True):
                    if isinstance(vector, ImageError):
                        errors[key_of(file)] = str(vector)
                        yield EmbeddingResult(file, "failed", str(vector))
                        continue
                    keys.append(key_of(file))
                    vectors.append(vector)
                    if len(keys) == PART_ROWS:
                        write()
                    yield EmbeddingResult(file, "done")
            write()
        except WriteError:
            raise
        except BaseException:
            write()
            raise

    def _new_part(self) -> Path:
        numbers = [int(path.stem) for path in self._parts.glob(f"*{SUFFIX}")]
        return self._parts / f"{1 + max(numbers, default=0):06}{SUFFIX}"

    def _finish(self, keys: Sequence[str], known: "Places") -> None:
        """Write the file from its parts, with the keys in their order."""
        # The order of an earlier run may have been another one, so that parts take turns.
        rows_of = lru_cache(maxsize=OPEN_PARTS)(lambda path: load_embeddings(path).vectors)

        def vector(key: str) -> np.ndarray:
            path, row = known[key]
            return rows_of(path)[row]

        def chunks() -> Iterator[np.ndarray]:
            for first in range(0, len(keys), PART_ROWS):
                yield np.stack([vector(key) for key in keys[first : first + PART_ROWS]])

        width = len(vector(keys[0]))
        write_file(self.out, chunks(), width, keys, self._settings.to_json())
        self._stamp(self.out)

    def _stamp(self, path: Path) -> None:
        """Give a file the time of the run's start: images may have changed while it went on."""
        os.utime(path, (self._started, self._started))


# The file and the row of each vector, by key.
Places = dict[str, tuple[Path, int]]


def _claim(lock: IO[Any]) -> bool:
    try:
        return claim(lock)
    except OSError:  # a file system without locks
        return True


def _modified(path: Path) -> float:
    """Return the time of an image file's last change, infinity for one that is missing.

    A file that was moved or copied here may have an older time of modification.
    """
    try:
        status = path.stat()
    except OSError:
        return float("inf")
    return max(status.st_mtime, status.st_ctime)


def _check_some(keys: Sequence[str], errors: dict[str, str]) -> None:
    if not keys:
        first = f": {next(iter(errors.values()))}" if errors else ""
        raise ValueError(f"There must be an image that can be used. Received: none{first}")
