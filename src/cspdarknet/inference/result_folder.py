"""`ResultFolder`: detections on the disk, in any form; resumable."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from cspdarknet._unfinished import WriteError, claim, make_folder
from cspdarknet.checkpoints.published import sha256_of
from cspdarknet.detections import Detections
from cspdarknet.inference.copies import RESULTS_MARKER
from cspdarknet.inference.result_formats import (
    RESULT_FORMATS,
    FileDetections,
    check_result_formats,
    write_results,
)
from cspdarknet.model_info import is_exported_file
from cspdarknet.presets.sources import locate

JOURNAL = ".detections.jsonl"  # a line with the settings, then one for each file


class _Record(NamedTuple):
    """Where the detections of a file are in the journal.

    Attributes:
        offset: of the line.
        modified: modification time of the file in nanoseconds, and its size in bytes.
    """

    offset: int
    modified: list[int]


class ResultFolder:
    """A folder of detections that is written file by file, and in any form at the end.

    Detections go to a journal in the folder as soon as they are known, so that they need not be in
    memory. A repeated run detects in those files only that are not in the journal, or have changed
    since. At the end `write` reads the journal, and writes the wished forms.

    Args:
        path: the folder. It is made with the first detections.
        formats: names of `RESULT_FORMATS`.
        settings: what the detections depend on, as plain JSON types. Detections of other settings
            in the folder are an error.
        class_names: names of the classes.

    Raises:
        ValueError: if a format cannot be written, or the folder has results of other settings, or
            a file that is not a result; or another process is writing into it.

    Example:
        >>> folder = ResultFolder("out", ["csv"], {"model": "a"}, ["cell"])
        >>> Path("a.png").touch()
        >>> detections = Detections([[2, 3, 12, 14]], [0.9], [0], (40, 60), ["cell"])
        >>> folder.append(FileDetections(Path("a.png"), detections))
        >>> folder.close()
        >>> folder = ResultFolder("out", ["csv"], {"model": "a"}, ["cell"])
        >>> folder.has(Path("a.png")), [str(p) for p in folder.write([Path("a.png")])]
        (True, ['out/detections.csv'])
        >>> folder.close()
    """

    def __init__(
        self,
        path: str | Path,
        formats: Sequence[str],
        settings: dict[str, Any],
        class_names: Sequence[str],
    ) -> None:
        self.path, self._class_names = Path(path), tuple(class_names)
        self.formats = check_result_formats(formats)
        self._records: dict[str, _Record] = {}
        self._file: IO[bytes] | None = None
        header = {"settings": json.loads(json.dumps(settings)), "class_names": [*class_names]}
        self._header = json.dumps(header, sort_keys=True)
        if self._journal.exists():
            self._open()
        else:
            self._check_replaceable()

    @property
    def _journal(self) -> Path:
        return self.path / JOURNAL

    def has(self, path: Path) -> bool:
        """Whether the detections in a file are known, and it has not changed since."""
        record = self._records.get(os.path.abspath(path))  # noqa: PTH100  (links are kept)
        return record is not None and record.modified == _modified(path)

    def append(self, result: FileDetections) -> None:
        """Add the detections in an image.

        Raises:
            WriteError: (an `OSError`) If the disk is full or the folder cannot be written.
        """
        self.extend([result])

    def extend(self, results: Sequence[FileDetections]) -> None:
        """Add the detections in an image, or in all frames of a video.

        Raises:
            WriteError: (an `OSError`) If the disk is full or the folder cannot be written.
        """
        if not results:
            return
        path = os.path.abspath(results[0].path)  # noqa: PTH100
        entry = {
            "file": path,
            "modified": _modified(results[0].path),
            "images": [_image(result) for result in results],
        }
        try:
            if self._file is None:
                self._open()
            assert self._file is not None
            offset = self._file.seek(0, os.SEEK_END)
            self._file.write(json.dumps(entry).encode() + b"\n")
            self._file.flush()
        except OSError as error:
            raise WriteError(error, self._journal) from error
        self._records[path] = _Record(offset, entry["modified"])  # type: ignore[arg-type]

    def results(
        self, paths: Iterable[Path], keys: Sequence[Path | None] | None = None
    ) -> "StoredResults":
        """Return the detections of files in their order, which are read when they are asked for.

        Args:
            paths: the files; those without known detections are left out.
            keys: their paths relative to the source; `None` for their names.
        """
        paths = list(paths)
        keys = [None] * len(paths) if keys is None else keys
        pairs = zip(paths, keys, strict=True)
        return StoredResults(self, [(path, key) for path, key in pairs if self.has(path)])

    def write(
        self,
        paths: Iterable[Path],
        keys: Sequence[Path | None] | None = None,
        coco_annotations: Path | None = None,
    ) -> list[Path]:
        """Write the detections of files in the forms of this folder.

        Args:
            paths: the files, in the order of the results.
            keys: as in `results`.
            coco_annotations: as in `write_results`.

        Returns:
            The files and folders that were written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        results = self.results(paths, keys)
        return write_results(self.path, self.formats, results, self._class_names, coco_annotations)

    def read(self, path: Path, key: Path | None = None) -> Iterator[FileDetections]:
        """Yield the detections in an image, or in the frames of a video, from the journal."""
        record = self._records[os.path.abspath(path)]  # noqa: PTH100
        assert self._file is not None
        self._file.seek(record.offset)
        for image in json.loads(self._file.readline())["images"]:
            rows = image["detections"]
            detections = Detections(
                [row["xyxy"] for row in rows],  # type: ignore[arg-type]
                [row["confidence"] for row in rows],  # type: ignore[arg-type]
                [row["class_id"] for row in rows],  # type: ignore[arg-type]
                (image["height"], image["width"]),
                self._class_names,
                path,
            )
            yield FileDetections(path, detections, image["frame"], key)

    def close(self) -> None:
        """Close the journal, which another process may then write to."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> None:
        """Open the journal, lock it, and read where the detections of each file are."""
        make_folder(self.path)
        (self.path / RESULTS_MARKER).touch()
        file = self._journal.open("a+b")
        if not claim(file):
            file.close()
            raise ValueError(
                f"Another process writes its results into {self.path}: wait for it, or choose "
                "another folder."
            )
        self._file = file
        file.seek(0)
        header = file.readline()
        if not header.endswith(b"\n"):  # a new journal, or one of a killed process
            file.truncate(0)
            file.write(self._header.encode() + b"\n")
            return
        if header.decode(errors="replace").strip() != self._header:
            self.close()
            raise ValueError(
                f"{self.path} must not hold detections of another model, or of other options or "
                f"image sizes. Received: {_changes(header, self._header)}: choose another folder, "
                "or delete this one."
            )
        self._read_records(file)

    def _read_records(self, file: IO[bytes]) -> None:
        offset = file.tell()
        for line in file:
            if not line.endswith(b"\n"):  # half a line, of a killed process
                break
            try:
                entry = json.loads(line)
                self._records[entry["file"]] = _Record(offset, entry["modified"])
            except (ValueError, KeyError, TypeError) as error:
                raise ValueError(
                    f"{self._journal} is damaged at byte {offset}: delete it, and run again."
                ) from error
            offset += len(line)
        file.truncate(offset)

    def _check_replaceable(self) -> None:
        """Refuse to replace files that are not results of an earlier run."""
        outputs = (name for form in self.formats for name in RESULT_FORMATS[form].outputs)
        for target in (self.path / name for name in outputs):
            if target.exists():
                raise ValueError(
                    f"{target} exists, and is not the result of an earlier run: choose another "
                    "folder."
                )


def model_sha256(model: str | Path) -> str:
    """Return the SHA-256 of a detector's files: weights, architecture and options.

    Args:
        model: the name or path of a model, or an exported file.

    Raises:
        ValueError: if there is no such model, or it has no weights.
    """
    digest = hashlib.sha256()
    if is_exported_file(model):
        path = Path(model)
        files = [path, path.with_suffix(".bin")] if path.suffix == ".xml" else [path]
    else:
        paths = locate(model)
        if paths.weights is None:
            raise ValueError(
                "The results of a run can be continued only with trained weights. Received: "
                f"{model}, which has none."
            )
        config = paths.config
        parts = [] if config is None else [config.backbone, config.head]
        digest.update(json.dumps(parts, sort_keys=True, default=repr).encode())
        files = [paths.weights]
    for file in files:
        digest.update(sha256_of(file).encode())
    return digest.hexdigest()


class StoredResults:
    """Detections in a journal, which are read from it each time that they are iterated over.

    Args:
        folder: the folder.
        files: paths and keys of the files.
    """

    def __init__(self, folder: ResultFolder, files: Sequence[tuple[Path, Path | None]]) -> None:
        self._folder, self._files = folder, files

    def __iter__(self) -> Iterator[FileDetections]:
        for path, key in self._files:
            yield from self._folder.read(path, key)


def _changes(stored: bytes, given: str) -> str:
    """Return which settings of a journal differ from the given ones."""
    try:
        headers = json.loads(stored), json.loads(given)
        before, now = ({**h["settings"], "class_names": h["class_names"]} for h in headers)
    except (ValueError, KeyError, TypeError):
        return f"a file {JOURNAL} of another program"
    names = sorted(n for n in before | now if before.get(n) != now.get(n))
    return "; ".join(f"{n}={before.get(n)!r} there, and {n}={now.get(n)!r} here" for n in names)


def _image(result: FileDetections) -> dict[str, Any]:
    height, width = result.detections.image_size
    rows = result.detections.to_json()
    return {"frame": result.frame, "width": width, "height": height, "detections": rows}


def _modified(path: Path) -> list[int]:
    """Return what changes when a file is written; zeros if it is gone."""
    try:
        stat = os.stat(path)  # noqa: PTH116  (a Path is slow)
    except OSError:
        return [0, 0]
    return [stat.st_mtime_ns, stat.st_size]
