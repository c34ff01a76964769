"""`cspdarknet detect`: detection of objects in images and videos."""

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cspdarknet._extras import require
from cspdarknet.cli.options import (
    BatchSizeOption,
    ImageSizeOption,
    IoUThresholdOption,
    MaxDetectionsOption,
    ModelArgument,
    PrecisionOption,
    RuntimeOption,
    ScoreThresholdOption,
    detection_options,
    load_predictor,
)
from cspdarknet.cli.progress import interruptible, progress_bar, report_failures
from cspdarknet.cli.results import (
    ResultsFile,
    check_results_files,
    message_console,
    say,
    write_results,
)
from cspdarknet.cli.tables import plain_table, print_table
from cspdarknet.images import ImageFile, find_images, has_image_suffix, walk

if TYPE_CHECKING:
    from cspdarknet.inference.copies import CopyFolder
    from cspdarknet.inference.detect import ObjectDetector
    from cspdarknet.inference.writers import FileDetections


def detect(
    model: ModelArgument,
    images: Annotated[
        list[Path],
        typer.Argument(metavar="IMAGES...", help="Image files, folders of them, or videos."),
    ],
    out: Annotated[
        Path | None, typer.Option(help="Folder for copies with the boxes drawn in.")
    ] = None,
    json: Annotated[
        Path | None,
        typer.Option(
            help="File for the detections, in COCO's JSON format; - for the standard output."
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option(help="File for the detections, as CSV; - for the standard output."),
    ] = None,
    coco_results: Annotated[
        Path | None,
        typer.Option(
            help="File for the detections as a list that pycocotools' loadRes takes; - for the "
            "standard output."
        ),
    ] = None,
    coco_annotations: Annotated[
        Path | None,
        typer.Option(help="COCO file whose ids of images and categories --coco-results uses."),
    ] = None,
    score_threshold: ScoreThresholdOption = None,
    iou_threshold: IoUThresholdOption = None,
    max_detections: MaxDetectionsOption = None,
    image_size: ImageSizeOption = None,
    batch_size: BatchSizeOption = 8,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
) -> None:
    """Detect objects in images and videos."""
    from cspdarknet.inference import writers
    from cspdarknet.inference.detect import ObjectDetector

    console = message_console(json, csv, coco_results)
    files, videos = _sources(images, out)
    copies = _copies(out, files, videos)
    check_results_files(
        ResultsFile("--json", json, writers.COCO_STARTS),
        ResultsFile("--csv", csv, writers.CSV_STARTS),
        ResultsFile("--coco-results", coco_results, writers.COCO_RESULTS_STARTS),
    )
    with console.status("loading the model"):
        predictor = load_predictor(
            model,
            "detection",
            runtime=runtime,
            precision=precision,
            mode="throughput",
            image_size=image_size,
            batch_size=batch_size if videos else min(batch_size, len(files)),
            options=detection_options(score_threshold, iou_threshold, max_detections),
        )
    detector = ObjectDetector(predictor, copies)
    detector.failures += [f"{link}: a link to a missing file" for link in _broken_links(images)]
    with interruptible(console):
        _run(detector, files, videos, console)
    names = {file.path: str(file.key) for file in files} | {video: video.name for video in videos}
    class_names = predictor.class_names
    print_table(console, _table(detector.results, class_names, names))
    if copies is not None:
        _say_copies(console, copies, detector.results)
    results = detector.results
    write_results(
        console,
        "Detections",
        [
            (json, lambda path: writers.write_coco(path, results, class_names)),
            (csv, lambda path: writers.write_csv(path, results)),
            (
                coco_results,
                lambda path: writers.write_coco_results(
                    path, results, class_names, coco_annotations
                ),
            ),
        ],
    )
    report_failures(console, detector.failures)


def _copies(
    out: Path | None, files: Sequence[ImageFile], videos: Sequence[Path]
) -> "CopyFolder | None":
    """Return the folder of the copies with their names.

    Raises:
        ValueError: if a copy would replace something other than a copy of an earlier run.
    """
    from cspdarknet.inference.copies import IMAGE_SUFFIXES, VIDEO_SUFFIXES, CopyFolder

    if out is None:
        return None
    if has_image_suffix(out) and not out.is_dir():
        raise ValueError(f"`--out` must name a folder for the copies. Received: {out}")
    copies = CopyFolder(out)
    copies.add((file.key for file in files), IMAGE_SUFFIXES)
    copies.add((Path(video.name) for video in videos), VIDEO_SUFFIXES)
    copies.check_replaceable()
    return copies


def _say_copies(
    console: Console, copies: "CopyFolder", results: Sequence["FileDetections"]
) -> None:
    count = len({result.path for result in results})
    note = f", {copies.replaced} of them in place of earlier ones" if copies.replaced else ""
    say(console, f"Copies of {count} files with boxes written to {copies.path}{note}.")


def _sources(given: Sequence[Path], out: Path | None) -> tuple[list[ImageFile], list[Path]]:
    """Return the images and the videos, without the results of an earlier run in `out`."""
    from cspdarknet.inference.copies import RESULTS_MARKER
    from cspdarknet.inference.video import VIDEO_SUFFIXES

    videos = [path for path in given if path.suffix.lower() in VIDEO_SUFFIXES and path.is_file()]
    others = [path for path in given if path not in videos]
    if videos:
        require("av", "video", "Reading videos")
    if out is None:
        return [file for source in others for file in find_images(source)], videos
    files = find_images(others, out, RESULTS_MARKER)
    if any(video.resolve().parent == out.resolve() for video in videos):
        raise ValueError(f"{out} holds the images to detect in: choose another folder.")
    if len({video.name for video in videos}) < len(videos):
        raise ValueError("Two videos have the same name: write them into two output folders.")
    return files, videos


def _broken_links(given: Sequence[Path]) -> list[Path]:
    """Return the symbolic links in folders that are named like images and lead nowhere."""
    files = (source / name for source in given if source.is_dir() for name in sorted(walk(source)))
    named = (path for path in files if has_image_suffix(path))
    return [path for path in named if path.is_symlink() and not path.exists()]


def _run(
    detector: "ObjectDetector",
    files: Sequence[ImageFile],
    videos: Sequence[Path],
    console: Console,
) -> None:
    if files:
        with progress_bar(console, "images", len(files)) as advance:
            detector.detect_images(files, advance)
    for video in videos:
        with progress_bar(console, f"frames of {video.name}", None) as advance:
            detector.detect_video(video, advance)


def _table(
    results: Sequence["FileDetections"], class_names: Sequence[str], names: Mapping[Path, str]
) -> Table:
    """Return a table with a row per file; a video's row counts the boxes of all its frames."""
    table = plain_table()
    table.add_column("file", overflow="fold")
    table.add_column("boxes", justify="right", no_wrap=True)
    table.add_column("classes", overflow="fold")
    table.add_column("highest score", justify="right", no_wrap=True)
    for path, items in groupby(results, key=lambda item: item.path):
        frames = list(items)
        counts = np.sum([item.detections.counts(len(class_names)) for item in frames], axis=0)
        named = zip(class_names, counts.tolist(), strict=True)
        classes = ", ".join(f"{name} {count}" for name, count in named if count)
        best = max(float(item.detections.confidence.max(initial=0)) for item in frames)
        suffix = "" if frames[0].frame is None else f", {len(frames)} frames"
        cells = (
            *(f"{names[path]}{suffix}", str(counts.sum())),
            *(classes, f"{best:.2f}" if classes else ""),
        )
        table.add_row(*map(escape, cells))
    return table
