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
    check_results_file,
    detection_options,
    load_predictor,
)
from cspdarknet.cli.progress import interruptible, progress_bar, report_failures
from cspdarknet.images import ImageFile, find_images, has_image_suffix, walk

if TYPE_CHECKING:
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
        Path | None, typer.Option(help="File for the detections, in COCO's JSON format.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="File for the detections, as CSV.")] = None,
    coco_results: Annotated[
        Path | None,
        typer.Option(help="File for the detections as a list that pycocotools' loadRes takes."),
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
    from cspdarknet.inference.detect import ObjectDetector
    from cspdarknet.inference.writers import write_coco, write_coco_results, write_csv

    console = Console()
    files, videos = _sources(images, out)
    for file in (json, csv, coco_results):
        check_results_file(file)
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
    detector = ObjectDetector(predictor, out)
    detector.failures += [f"{link}: a link to a missing file" for link in _broken_links(images)]
    with interruptible(console):
        _run(detector, files, videos, console)
    if json is not None:
        write_coco(json, detector.results, predictor.class_names)
    if csv is not None:
        write_csv(csv, detector.results)
    if coco_results is not None:
        write_coco_results(coco_results, detector.results, predictor.class_names, coco_annotations)
    names = {file.path: str(file.key) for file in files} | {video: video.name for video in videos}
    console.print(_table(detector.results, predictor.class_names, names))
    report_failures(console, detector.failures)


def _sources(given: Sequence[Path], out: Path | None) -> tuple[list[ImageFile], list[Path]]:
    """Return the images and the videos, without the results of an earlier run in `out`."""
    from cspdarknet.inference.detect import RESULTS_MARKER
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
    table = Table()
    table.add_column("file", overflow="fold")
    table.add_column("boxes", justify="right")
    table.add_column("classes")
    table.add_column("highest score", justify="right")
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
