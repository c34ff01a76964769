"""`cspdarknet detect`: where things are in photos and videos."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from cspdarknet.cli.features import INTERRUPTED
from cspdarknet.cli.options import PrecisionOption, RuntimeOption

if TYPE_CHECKING:
    from cspdarknet.images import ImageFile
    from cspdarknet.inference.detect import ObjectDetector
    from cspdarknet.inference.writers import Found


def detect(
    model: Annotated[
        str,
        typer.Argument(help="A run folder, a preset directory or name, or an exported file."),
    ],
    photos: Annotated[list[Path], typer.Argument(help="Photos, folders of photos, or videos.")],
    out: Annotated[
        Path | None, typer.Option(help="Folder for copies with the boxes drawn in.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="File for the boxes, as COCO's JSON.")] = None,
    csv: Annotated[Path | None, typer.Option(help="File for the boxes, as a table.")] = None,
    score: Annotated[
        float | None, typer.Option(help="Least score; the model's if not given.", min=0, max=1)
    ] = None,
    iou: Annotated[
        float | None,
        typer.Option(help="Boxes of a class that overlap more count as one.", min=0, max=1),
    ] = None,
    most: Annotated[
        int | None, typer.Option("--max", help="Most boxes of a photo, the surest ones.", min=1)
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the square that a photo is fitted into.", min=1)
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Photos in a batch.", min=1)] = 8,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
) -> None:
    """Find objects in photos and videos: of which class, where, and how many."""
    from cspdarknet.cli.options import load_predictor
    from cspdarknet.inference.detect import ObjectDetector
    from cspdarknet.inference.writers import write_coco, write_table

    console = Console()
    listed, videos = _sources(photos, out)
    for file in (json, csv):
        if file is not None and not file.parent.is_dir():
            raise ValueError(f"There is no folder {file.parent} for the results.")
        if file is not None and file.is_dir():
            raise ValueError(f"{file} is a folder: name a file for the results.")
    with console.status("loading the model"):
        predictor, names = load_predictor(
            model,
            "boxes",
            runtime,
            precision=precision,
            mode="throughput",
            score_threshold=score,
            iou_threshold=iou,
            max_detections=most,
            image_size=image_size,
            batch_size=batch_size if videos else min(batch_size, len(listed)),
        )
    finder = ObjectDetector(predictor, names, out)
    finder.failures += [f"{link}: a link to a file that is not there" for link in _broken(photos)]
    try:
        _look(finder, listed, videos, console)
    except KeyboardInterrupt:
        console.print("Interrupted.")
        raise typer.Exit(INTERRUPTED) from None
    if json is not None:
        write_coco(json, finder.found, finder.class_names)
    if csv is not None:
        write_table(csv, finder.found, finder.class_names)
    shown = {photo.path: str(photo.key) for photo in listed} | {v: v.name for v in videos}
    console.print(_table(finder.found, finder.class_names, shown))
    for reason in finder.failures:
        console.print(f"[bold red]left out:[/] {escape(reason)}", soft_wrap=True, highlight=False)
    if finder.failures:
        raise typer.Exit(1)


def _sources(given: Sequence[Path], out: Path | None) -> tuple[list["ImageFile"], list[Path]]:
    """Return the photos and the videos; pictures of an earlier run in `out` are left out."""
    from cspdarknet._extras import require
    from cspdarknet.images import find_images
    from cspdarknet.inference.video import VIDEO_SUFFIXES

    videos = [path for path in given if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
    others = [path for path in given if path not in videos]
    if videos:
        require("av", "video", "Reading videos")
    if out is None:
        return [photo for source in others for photo in find_images(source)], videos
    photos, place = find_images(others, out), out.resolve()
    if any(place.is_relative_to(source.resolve()) for source in others):
        photos = [photo for photo in photos if not photo.path.resolve().is_relative_to(place)]
    if any(video.resolve().parent == place for video in videos) or not (photos or videos):
        raise ValueError(f"{out} holds what is to be looked at: choose another folder.")
    if len({video.name for video in videos}) < len(videos):
        raise ValueError("Two videos have the same name: write them into two output folders.")
    return photos, videos


def _broken(given: Sequence[Path]) -> list[Path]:
    """List the links in folders that are named like photos and lead nowhere."""
    from cspdarknet.images import SUFFIXES

    files = (path for source in given if source.is_dir() for path in sorted(source.rglob("*")))
    named = (path for path in files if path.suffix.lower() in SUFFIXES)
    return [path for path in named if path.is_symlink() and not path.exists()]


def _look(
    finder: "ObjectDetector",
    photos: Sequence["ImageFile"],
    videos: Sequence[Path],
    console: Console,
) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        if photos:
            task = progress.add_task("photos", total=len(photos))
            finder.detect_images(photos, partial(progress.advance, task))
        for video in videos:
            task = progress.add_task(escape(f"frames of {video.name}"), total=None)
            finder.detect_video(video, partial(progress.advance, task))


def _table(
    found: Sequence["Found"], class_names: Sequence[str], names: Mapping[Path, str]
) -> Table:
    """Show a row for each file; the boxes of a video are those of all its frames."""
    table = Table()
    table.add_column("photo", overflow="fold")
    table.add_column("boxes", justify="right")
    table.add_column("of which class")
    table.add_column("best score", justify="right")
    for path, items in groupby(found, key=lambda item: item.path):
        files = list(items)
        counts = np.sum([item.detections.counts(len(class_names)) for item in files], axis=0)
        named = zip(class_names, counts.tolist(), strict=True)
        classes = ", ".join(f"{name} {count}" for name, count in named if count)
        best = max(float(item.detections.scores.max(initial=0)) for item in files)
        frames = "" if files[0].frame is None else f", {len(files)} frames"
        cells = (
            *(f"{names[path]}{frames}", str(counts.sum())),
            *(classes, f"{best:.2f}" if classes else ""),
        )
        table.add_row(*map(escape, cells))
    return table
