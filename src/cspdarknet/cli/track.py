"""`cspdarknet track`: tracking of objects in videos, cameras and streams."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cspdarknet.cli.choices import TRACKERS, choice
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
)
from cspdarknet.cli.results import ResultsFile, check_results_files, message_console
from cspdarknet.cli.streams import (
    SEGMENT_SECONDS,
    EveryFrameOption,
    JsonLinesOption,
    ReconnectOption,
    SegmentOption,
    StreamOptions,
    Summary,
    open_stream,
    run_stream,
    stream_predictor,
    video_writer,
)

if TYPE_CHECKING:
    from cspdarknet.inference.counts import Counts


def track(
    model: ModelArgument,
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A video file; an address such as rtsp://… or http://….mjpg; the number of a "
            "camera; or - for standard input.",
        ),
    ],
    tracker: Annotated[str, choice(TRACKERS, help="The tracker.")] = "bytetrack",
    out: Annotated[
        str | None,
        typer.Option(help="Folder for the video with boxes, ids and traces drawn in."),
    ] = None,
    mot: Annotated[
        Path | None, typer.Option(help="File for the tracks, in MOTChallenge's format.")
    ] = None,
    csv: Annotated[Path | None, typer.Option(help="File for the tracks, as CSV.")] = None,
    json_lines: JsonLinesOption = None,
    count_line: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X1,Y1,X2,Y2",
            help="Count the objects whose center crosses this line; may be repeated.",
        ),
    ] = None,
    zone: Annotated[
        list[str] | None,
        typer.Option(
            metavar="X1,Y1,X2,Y2,X3,Y3,...",
            help="Count the objects whose center is in this polygon; may be repeated.",
        ),
    ] = None,
    every_frame: EveryFrameOption = False,
    reconnect: ReconnectOption = None,
    segment: SegmentOption = SEGMENT_SECONDS,
    score_threshold: ScoreThresholdOption = None,
    iou_threshold: IoUThresholdOption = None,
    max_detections: MaxDetectionsOption = None,
    classes: ClassesOption = None,
    class_agnostic_nms: ClassAgnosticNMSOption = None,
    max_detections_per_class: MaxDetectionsPerClassOption = None,
    tile: TileOption = None,
    overlap: OverlapOption = None,
    with_whole: WithWholeOption = False,
    augment: AugmentOption = False,
    image_size: ImageSizeOption = None,
    batch_size: BatchSizeOption = 8,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
    device: DeviceOption = "auto",
) -> None:
    """Track objects in a video, a camera or a stream: each keeps its id."""
    from cspdarknet.inference import Tracker, TrackPainter, detect_frames, frame_writers
    from cspdarknet.inference import track as track_frames
    from cspdarknet.inference.tracks import DEFAULT_RATE

    console = message_console(json_lines)
    counts = _counts(count_line, zone)
    check_results_files(
        ResultsFile("--mot", mot, tuple("123456789")),
        ResultsFile("--csv", csv, frame_writers.TRACKS_CSV_STARTS),
        ResultsFile("--json-lines", json_lines, frame_writers.JSON_LINES_STARTS),
    )
    how = StreamOptions(out, json_lines, every_frame, reconnect, segment)
    stream = open_stream(console, source, how)
    writers: list[Any] = []
    if out is not None:
        writers.append(video_writer(stream, source, how, TrackPainter(counts).draw))
    if mot is not None:
        writers.append(frame_writers.MotWriter(mot))
    if csv is not None:
        writers.append(frame_writers.TracksCsvWriter(csv))
    if json_lines is not None:
        writers.append(frame_writers.JsonLinesWriter(json_lines, stream.name))
    assigned = Tracker(tracker, float(stream.frame_rate or DEFAULT_RATE))
    settings = {
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
    predictor = stream_predictor(console, model, stream, batch_size, settings)
    results = track_frames(detect_frames(predictor, stream), assigned)
    summary = Summary(predictor.class_names, tracks=True)
    run_stream(console, stream, results, writers, summary, counts)


def _counts(lines: Sequence[str] | None, zones: Sequence[str] | None) -> "Counts | None":
    """Return the counts of the lines and zones that options name, if any.

    Raises:
        ValueError: if an option has no such form.
    """
    from cspdarknet.inference.counts import Counts

    if not lines and not zones:
        return None
    return Counts(
        [_points("--count-line", text) for text in lines or ()],
        [_points("--zone", text) for text in zones or ()],
    )


def _points(option: str, text: str) -> list[tuple[float, float]]:
    """Return the points of an option such as `10,20,30,40`.

    Raises:
        ValueError: if the text is not a list of pairs of numbers.
    """
    try:
        numbers = [float(part) for part in text.split(",")]
        return list(zip(numbers[::2], numbers[1::2], strict=True))
    except ValueError:
        raise ValueError(
            f"`{option}` must be points in pixels, such as 0,100,640,100. Received: {text}"
        ) from None
