"""`read_dataset`: the annotations of a dataset of any format."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from cspdarknet._labels import MULTI, SINGLE
from cspdarknet.data.annotations import Annotations, as_multi_label
from cspdarknet.data.files import DatasetFiles
from cspdarknet.data.formats import FORMATS
from cspdarknet.data.formats.format import UNLIKELY, Format, Match
from cspdarknet.data.problems import Problem
from cspdarknet.data.sources import is_source, read_source, source_task
from cspdarknet.images import has_image_suffix

SHOWN = 5


def read_dataset(
    source: Any,
    task: str | None = None,
    format: str | None = None,
    images_folder: str | Path | None = None,
    labels: str = SINGLE,
) -> Annotations[Any]:
    """Read the annotations of a dataset in the format that it is most certainly in.

    Every file of a folder is either used or named in a problem.

    Args:
        source: the folder or annotation file; a `.parquet` file; `hf://datasets/owner/name`; a
            dataset of Hugging Face or PyTorch; a sequence of `(image, target)`; a data frame of
            pandas or Polars; or a dict of these by split.
        task: `"classification"`, `"detection"` or `"regression"`, which the dataset must be for;
            `None` for any.
        format: name of the format, one of `FORMATS`; `None` to recognize it.
        images_folder: folder to write images that are not files to; `None` for a temporary one,
            which is removed at exit.
        labels: `"multi"` for images of any number of classes, as `MultiLabelImage`.

    Returns:
        `Annotations`, with the format in `format`.

    Raises:
        ValueError: if there is no such folder or file, no format fits, several fit equally well, or
            the dataset is for another task.
        ImportError: if a package that the source needs is not installed.

    Example:
        >>> for name in ("cat", "dog"):
        ...     Path("pets", name).mkdir(parents=True)
        ...     Image.new("RGB", (8, 8)).save(f"pets/{name}/1.png")
        >>> read_dataset("pets").format
        'class folders: 2 folders of images, named after classes'
    """
    if is_source(source):
        return read_source(source, task, images_folder, labels)
    files = DatasetFiles(source)
    chosen, match = _chosen(files, Path(source), task, format)
    annotations = _read(chosen, files, labels)
    problems = annotations.problems
    if files.file is None:
        problems = [*problems, *_unused(files, annotations)]
    return replace(
        annotations,
        problems=problems,
        task=chosen.task,
        format=f"{chosen.name}: {match.reason}",
    )


def _read(format: Format, files: DatasetFiles, labels: str) -> Annotations[Any]:
    if labels != MULTI or format.task != "classification":
        return format.read(files)
    if format.read_multi_label is None:
        return as_multi_label(format.read(files))
    return format.read_multi_label(files)


def recognized_task(source: Any, format: str | None = None) -> str:
    """Return the task that a dataset is for: classification, detection or regression.

    Only its format is recognized; arguments and errors are those of `read_dataset`.
    """
    if is_source(source):
        return source_task(source)
    return _chosen(DatasetFiles(source), Path(source), None, format)[0].task


def _chosen(
    files: DatasetFiles, source: Path, task: str | None, name: str | None
) -> tuple[Format, Match]:
    """Return the format with the highest certainty."""
    if name is not None:
        by_name = {format.name.lower(): format for format in FORMATS}
        if name.lower() not in by_name:
            raise ValueError(
                f"`format` must be one of {', '.join(by_name)}. Received: format={name!r}"
            )
        format = by_name[name.lower()]
        if task not in (None, format.task):
            raise ValueError(
                f"`format` must be one of a dataset for {task}. Received: format={name!r}, which "
                f"is for {format.task}"
            )
        return format, format.match(files) or Match(1.0, "as given")
    matches = [
        (format, match)
        for format in FORMATS
        if (match := format.match(files)) and _is_candidate(format, match, task)
    ]
    if task == "regression":  # a table of classes may have columns of numbers, too
        matches = [pair for pair in matches if pair[0].task == task] or matches
    if not matches:
        purpose = f" for {task}" if task else ""
        raise ValueError(f"{source} is not a dataset{purpose}. {_seen(files)} {_expected(task)}")
    certainty = max(match.certainty for _, match in matches)
    best = [(format, match) for format, match in matches if match.certainty == certainty]
    of_task = [pair for pair in best if task in (None, pair[0].task)]
    if len(of_task) > 1:
        found = "; and ".join(f"{format.name}: {match.reason}" for format, match in of_task)
        raise ValueError(
            f"{source} is in several formats equally well: {found}. Name the annotation file "
            "instead of the folder, or choose with `--format` (in Python format=...)."
        )
    if not of_task:
        format, match = best[0]
        raise ValueError(
            f"{source} is not a dataset for {task}: it is one for {format.task} ({format.name}: "
            f"{match.reason}). {_expected(task)}"
        )
    return of_task[0]


def _is_candidate(format: Format, match: Match, task: str | None) -> bool:
    """Whether a match counts: an unlikely one only for the task that is asked for."""
    if task == format.task:
        return True
    return match.certainty >= UNLIKELY if task is None else match.certainty > UNLIKELY


def _expected(task: str | None) -> str:
    layouts = [
        f"{format.name} ({format.layout})" for format in FORMATS if task in (None, format.task)
    ]
    return f"The formats{f' for {task}' if task else ''} are: {', '.join(layouts)}."


def _seen(files: DatasetFiles) -> str:
    """Describe what there is instead of a dataset."""
    if files.file is not None:
        return f"Received: a file {PurePosixPath(files.file).suffix or 'without a suffix'}."
    suffixes = Counter(PurePosixPath(name).suffix.lower() for name in files.names)
    folders = sorted(files.image_folders)
    counts = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(SHOWN))
    shown = ", ".join(folder or "the folder itself" for folder in folders[:SHOWN])
    places = f", the images in {shown}{', ...' if len(folders) > SHOWN else ''}" if folders else ""
    return f"Received: {counts or 'no'} files{places}."


def _unused(files: DatasetFiles, annotations: Annotations[Any]) -> list[Problem]:
    """Name the files that are neither used nor in a problem."""
    used = {str(image.path) for images in annotations.splits.values() for image in images}
    used |= {str(path) for path in annotations.used}
    used |= {str(problem.path) for problem in annotations.problems}
    problems: list[Problem] = []
    others: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in files.names:
        if str(files.path(name)) in used:
            continue
        if has_image_suffix(name):
            problems.append(Problem("unlabeled image", files.path(name), "it has no annotation"))
        else:
            path = PurePosixPath(name)
            others[path.parent.as_posix(), path.suffix.lower()].append(path.name)
    for (folder, suffix), names in others.items():
        problems.append(Problem("unused file", files.path(folder), _names(names, suffix)))
    return problems


def _names(names: Sequence[str], suffix: str) -> str:
    if len(names) == 1:
        return f"{names[0]} is not used"
    return f"{len(names)} files {suffix} are not used, such as {names[0]}"
