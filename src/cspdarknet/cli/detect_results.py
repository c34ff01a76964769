"""`cspdarknet detect --format`: results in the folder `--out`, in forms for other software."""

import json
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from cspdarknet.cli.choices import RESULT_FORMATS
from cspdarknet.cli.results import say
from cspdarknet.images import ImageFile

if TYPE_CHECKING:
    from cspdarknet.inference import Predictor
    from cspdarknet.inference.copies import CopyFolder
    from cspdarknet.inference.result_folder import ResultFolder, StoredResults

EQUAL = ("runtime", "device")  # settings that do not change the detections
IMAGES = "images"  # annotated copies, the form without `--format`


@dataclass(frozen=True)
class WantedForms:
    """The forms of results that `--format` names.

    Attributes:
        formats: those of `cspdarknet.inference.result_formats`.
        draws: whether annotated copies are among them.
    """

    formats: tuple[str, ...] = ()
    draws: bool = True


def wanted_forms(
    text: str | None, out: Path | None, files: Sequence[ImageFile], videos: Sequence[Path]
) -> WantedForms:
    """Return the forms of `--format`, checked before any work is done.

    Args:
        text: the option, such as `coco,yolo`; `None` for annotated copies.
        out: the option `--out`.
        files: the images.
        videos: the videos.

    Raises:
        ValueError: if there is no such form, or it cannot hold the results of these files.
    """
    if text is None:
        return WantedForms()
    names = [name.strip().lower() for name in text.split(",")]
    if unknown := [name for name in names if name not in RESULT_FORMATS]:
        raise ValueError(
            f"`--format` must be one or more of {', '.join(RESULT_FORMATS)}, separated by commas. "
            f"Received: {', '.join(unknown)}"
        )
    if out is None:
        raise ValueError(f"`--format` needs `--out`, a folder. Received: --format {text}")
    from cspdarknet.inference.result_formats import check_result_formats

    keys = [file.key for file in files]
    chosen = [name for name in names if name != IMAGES]
    formats = check_result_formats(chosen, keys, [Path(video.name) for video in videos])
    draws = IMAGES in names
    if draws:
        _check_copies(formats, keys)
    return WantedForms(formats, draws)


def _check_copies(formats: Sequence[str], keys: Sequence[Path]) -> None:
    """Refuse copies that would be written among the files of another form."""
    from cspdarknet.inference import result_formats

    outputs = {name for form in formats for name in result_formats.RESULT_FORMATS[form].outputs}
    if clashing := [key for key in keys if key.parts[0] in outputs]:
        raise ValueError(
            f"The copy {clashing[0]} would be among the results {clashing[0].parts[0]}: write "
            "copies and other forms into two folders."
        )


@contextmanager
def open_results(
    out: Path | None,
    formats: Sequence[str],
    model: str,
    settings: dict[str, Any],
    predictor: "Predictor",
) -> Iterator["ResultFolder | None"]:
    """Open the folder of the results of a run, with those of an earlier one.

    Args:
        out: the folder.
        formats: as of `wanted_forms`; the result is `None` if there are none.
        model: the argument MODEL.
        settings: what was given to the predictor.
        predictor: the predictor.

    Raises:
        ValueError: if the folder has results of another model or of other settings.
    """
    if out is None or not formats:
        yield None
        return
    from cspdarknet.inference.result_folder import ResultFolder, model_sha256

    fixed = {name: value for name, value in settings.items() if name not in EQUAL}
    known = json.loads(json.dumps({**fixed, "model_sha256": model_sha256(model)}, default=vars))
    with closing(ResultFolder(out, formats, known, predictor.class_names)) as results:
        yield results


def unfinished(
    results: "ResultFolder | None",
    files: Sequence[ImageFile],
    videos: Sequence[Path],
    copies: "CopyFolder | None",
) -> tuple[list[ImageFile], list[Path]]:
    """Return the images and videos that an earlier run has not finished."""
    if results is None:
        return list(files), list(videos)

    def is_finished(path: Path, key: Path) -> bool:
        return results.has(path) and (copies is None or copies.target(key).exists())

    return (
        [file for file in files if not is_finished(file.path, file.key)],
        [video for video in videos if not is_finished(video, Path(video.name))],
    )


def write_forms(
    console: Console,
    results: "ResultFolder",
    files: Sequence[ImageFile],
    videos: Sequence[Path],
    coco_annotations: Path | None,
) -> "StoredResults":
    """Write the results in each form, say where, and return them."""
    paths = [*(file.path for file in files), *videos]
    keys = [*(file.key for file in files), *(Path(video.name) for video in videos)]
    for path in results.write(paths, keys, coco_annotations):
        say(console, f"Detections written to {path}.")
    return results.results(paths, keys)
