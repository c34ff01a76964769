"""`cspdarknet detect`: detection of objects in images and videos."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cspdarknet._extras import require
from cspdarknet.cli.choices import RESULT_FORMATS
from cspdarknet.cli.detect_results import open_results, unfinished, wanted_forms, write_forms
from cspdarknet.cli.engine import RAY, EngineOption, run_on_engine
from cspdarknet.cli.options import (
    AugmentOption,
    BatchSizeOption,
    ClassAgnosticNMSOption,
    ClassesOption,
    DeviceOption,
    ImageSizeOption,
    IoUThresholdOption,
    MaxDetectionsOption,
    MaxDetectionsPerClassOption,
    ModelArgument,
    OverlapOption,
    PrecisionOption,
    RuntimeOption,
    ScoreThresholdOption,
    TileOption,
    WithWholeOption,
    detection_options,
    given_tiles,
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
from cspdarknet.cli.streams import (
    SEGMENT_SECONDS,
    EveryFrameOption,
    JsonLinesOption,
    ReconnectOption,
    SegmentOption,
    StreamOptions,
    detect_stream,
    is_stream,
)
from cspdarknet.cli.tables import plain_table, print_table
from cspdarknet.images import ImageFile, find_images, has_image_suffix, walk

if TYPE_CHECKING:
    from cspdarknet.inference.copies import CopyFolder
    from cspdarknet.inference.detect import ObjectDetector
    from cspdarknet.inference.result_formats import FileDetections

CONTINUE = "Run the same command again to continue."


def detect(
    model: ModelArgument,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGES...",
            help="Image files, folders of them, or videos; or one stream: an address such as "
            "rtsp://… or http://….mjpg, the number of a camera, or - for standard input.",
        ),
    ],
    out: Annotated[
        str | None,
        typer.Option(
            help="Folder for the results: copies with the boxes drawn in, or those of --format. "
            "With --engine ray: the folder or URL for the results."
        ),
    ] = None,
    result_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT,...",
            help=f"Forms of the results in --out, one or more of {', '.join(RESULT_FORMATS)}. "
            "Run the same command again to continue after an interruption.",
        ),
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
    classes: ClassesOption = None,
    class_agnostic_nms: ClassAgnosticNMSOption = None,
    max_detections_per_class: MaxDetectionsPerClassOption = None,
    image_size: ImageSizeOption = None,
    tile: TileOption = None,
    overlap: OverlapOption = None,
    with_whole: WithWholeOption = False,
    augment: AugmentOption = False,
    batch_size: BatchSizeOption = 8,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
    device: DeviceOption = "auto",
    engine: EngineOption = "local",
    json_lines: JsonLinesOption = None,
    every_frame: EveryFrameOption = False,
    reconnect: ReconnectOption = None,
    segment: SegmentOption = SEGMENT_SECONDS,
) -> None:
    """Detect objects in images and videos."""
    from cspdarknet.inference.detect import ObjectDetector

    settings: dict[str, Any] = {
        "options": detection_options(
            score_threshold,
            iou_threshold,
            max_detections,
            classes,
            class_agnostic_nms,
            max_detections_per_class,
        ),
        "image_size": image_size,
        "runtime": runtime,
        "precision": precision,
        "device": device,
        **given_tiles(tile, overlap, with_whole),
        **({"augment": True} if augment else {}),
    }
    results_files = {"--json": json, "--csv": csv, "--coco-results": coco_results}
    unfit = {**results_files, "--coco-annotations": coco_annotations, "--format": result_format}
    if engine == RAY:
        _refuse_videos(images)
        run_on_engine("detection", model, images, out, unfit, batch_size=batch_size, **settings)
        return
    if is_stream(images, json_lines):
        stream_options = StreamOptions(out, json_lines, every_frame, reconnect, segment)
        detect_stream(model, images, stream_options, unfit, batch_size, settings)
        return
    console = message_console(*results_files.values())
    paths, folder = list(map(Path, images)), None if out is None else Path(out)
    files, videos = _sources(paths, folder)
    forms = wanted_forms(result_format, folder, files, videos)
    copies = _copies(folder, files, videos) if forms.draws else None
    check_results_files(*_with_starts(results_files))
    with console.status("loading the model"):
        predictor = load_predictor(
            model,
            "detection",
            mode="throughput",
            batch_size=batch_size if videos or tile else min(batch_size, len(files)),
            **settings,
        )
    with open_results(folder, forms.formats, model, settings, predictor) as stored:
        detector = ObjectDetector(predictor, copies, stored)
        detector.failures += _broken_links(paths)
        with interruptible(console, "" if stored is None else CONTINUE):
            _run(detector, *unfinished(stored, files, videos, copies), console)
        results = detector.results
        if stored is not None:
            results = write_forms(console, stored, files, videos, coco_annotations)
        print_table(console, _table(results, predictor.class_names, _names(files, videos)))
        if copies is not None:
            _say_copies(console, copies, results)
        _write_files(console, results_files, results, predictor.class_names, coco_annotations)
    report_failures(console, detector.failures)


def _names(files: Sequence[ImageFile], videos: Sequence[Path]) -> dict[Path, str]:
    """Return the names of the files in the table."""
    return {file.path: str(file.key) for file in files} | {video: video.name for video in videos}


def _with_starts(files: Mapping[str, Path | None]) -> list[ResultsFile]:
    """Return the files for results, with how those of earlier runs begin."""
    from cspdarknet.inference.result_formats import coco, tables

    starts: dict[str, tuple[str, ...]] = {"--json": coco.COCO_STARTS, "--csv": tables.CSV_STARTS}
    starts["--coco-results"] = coco.COCO_RESULTS_STARTS
    return [ResultsFile(option, path, starts[option]) for option, path in files.items()]


def _write_files(
    console: Console,
    files: Mapping[str, Path | None],
    results: Any,
    class_names: Sequence[str],
    coco_annotations: Path | None,
) -> None:
    from cspdarknet.inference.result_formats import coco, tables

    writers: dict[str, Callable[[Path], object]] = {
        "--json": lambda path: coco.write_coco(path, results, class_names),
        "--csv": lambda path: tables.write_csv(path, results),
        "--coco-results": lambda path: coco.write_coco_results(
            path, results, class_names, coco_annotations
        ),
    }
    write_results(console, "Detections", [(files[option], writers[option]) for option in files])


def _refuse_videos(images: Sequence[str]) -> None:
    from cspdarknet.inference.video import VIDEO_SUFFIXES

    if videos := [name for name in images if name.lower().endswith(tuple(VIDEO_SUFFIXES))]:
        raise ValueError(
            "`--engine ray` is for images, not videos. Received: "
            f"{', '.join(videos)}: leave the option out."
        )


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
    console: Console, copies: "CopyFolder", results: Iterable["FileDetections"]
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


def _broken_links(given: Sequence[Path]) -> list[str]:
    """Return a line for each link in the folders that is named like an image and leads nowhere."""
    files = (source / name for source in given if source.is_dir() for name in sorted(walk(source)))
    named = (path for path in files if has_image_suffix(path))
    broken = [path for path in named if path.is_symlink() and not path.exists()]
    return [f"{link}: a link to a missing file" for link in broken]


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
    results: Iterable["FileDetections"], class_names: Sequence[str], names: Mapping[Path, str]
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
