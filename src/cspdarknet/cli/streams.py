"""Options and the loop that `detect` and `track` share for videos, cameras and streams."""

import math
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cspdarknet.cli.options import load_predictor
from cspdarknet.cli.progress import report_failures
from cspdarknet.cli.results import ResultsFile, check_results_files, message_console, say
from cspdarknet.cli.signals import STATUS, stopped_by_signals
from cspdarknet.cli.tables import plain_table, print_table
from cspdarknet.images import ImageError

if TYPE_CHECKING:
    from cspdarknet.detections import Detections
    from cspdarknet.inference.counts import Counts
    from cspdarknet.inference.frame_writers import Draw, FrameWriter, SegmentWriter
    from cspdarknet.inference.frames import Frame
    from cspdarknet.inference.predictor import Predictor
    from cspdarknet.inference.streams import FrameStream

SEGMENT_SECONDS = 600.0
JsonLinesOption = Annotated[
    Path | None,
    typer.Option(
        help="Videos and streams: file for a line of JSON per frame, written at once; - for the "
        "standard output."
    ),
]
EveryFrameOption = Annotated[
    bool,
    typer.Option(
        "--every-frame",
        help="Live streams: drop no frame, even if results fall behind. Default: the newest frame "
        "is next. Of video files, all frames are read.",
    ),
]
ReconnectOption = Annotated[
    int | None,
    typer.Option(
        help="Live streams: number of attempts in a row to connect again. Default: no limit.", min=0
    ),
]
SegmentOption = Annotated[
    float,
    typer.Option(help="Live streams: seconds of each video in --out.", min=1),
]


@dataclass
class Summary:
    """What a stream gave so far, in constant memory.

    Attributes:
        class_names: names of the model's classes.
        tracks: whether to count tracks in place of boxes.
    """

    class_names: Sequence[str]
    tracks: bool = False
    frames: int = 0
    longest_age: float = 0.0
    counts: np.ndarray = field(init=False)
    _highest_id: int = -1

    def __post_init__(self) -> None:
        self.counts = np.zeros(len(self.class_names), "int64")

    def add(self, detections: "Detections", age: float) -> None:
        """Add the results of a frame."""
        self.frames += 1
        self.longest_age = max(self.longest_age, age)
        if self.tracks:
            ids = detections.tracker_id
            assert ids is not None
            detections = detections[ids > self._highest_id]  # ids are given in ascending order
            self._highest_id = max(self._highest_id, int(ids.max(initial=-1)))
        self.counts += detections.counts(len(self.class_names))

    def line(self, stream: "FrameStream") -> str:
        """Return the number of frames and their age, as a line of text."""
        text = f"{self.frames} frames"
        if stream.drops:
            text += f", {stream.dropped} dropped"
        if stream.is_live:
            text += f"; a result came at most {self.longest_age:.2f} s after its frame"
        return text

    def table(self) -> Table:
        """Return a table with a row per class."""
        table = plain_table()
        table.add_column("class", overflow="fold")
        table.add_column("tracks" if self.tracks else "boxes", justify="right", no_wrap=True)
        for name, count in zip(self.class_names, self.counts.tolist(), strict=True):
            table.add_row(escape(name), str(count))
        return table


@dataclass(frozen=True)
class StreamOptions:
    """The options of streams, as given on the command line."""

    out: str | None = None
    json_lines: Path | None = None
    every_frame: bool = False
    reconnect: int | None = None
    segment: float = SEGMENT_SECONDS


def is_stream(sources: Sequence[str], json_lines: Path | None) -> bool:
    """Whether `detect` is to give results frame by frame, as for a stream."""
    from cspdarknet.inference.frames import names_stream

    return json_lines is not None or any(names_stream(source) for source in sources)


def detect_stream(
    model: str,
    sources: Sequence[str],
    options: StreamOptions,
    unfit: Mapping[str, object],
    batch_size: int,
    settings: Mapping[str, Any],
) -> None:
    """Detect objects in the frames of a stream.

    Args:
        model: the argument MODEL.
        sources: the argument IMAGES, one stream.
        options: those of streams.
        unfit: other options for results, which must not be given.
        batch_size: maximum number of frames in a batch, of video files.
        settings: arguments of `Predictor`.

    Raises:
        ValueError: if an option does not fit.
    """
    from cspdarknet.inference import detect_frames
    from cspdarknet.inference.frame_writers import JSON_LINES_STARTS, JsonLinesWriter

    if len(sources) > 1:
        raise ValueError(
            f"Streams must be given one at a time. Received: {len(sources)} sources: run the "
            "command once for each."
        )
    if given := [name for name, value in unfit.items() if value is not None]:
        raise ValueError(
            f"`{given[0]}` is for images and video files without --json-lines. Received: "
            f"{given[0]} for a stream of frames: give --json-lines alone, or --out."
        )
    console = message_console(options.json_lines)
    check_results_files(ResultsFile("--json-lines", options.json_lines, JSON_LINES_STARTS))
    stream = open_stream(console, sources[0], options)
    writers: list[Any] = []
    if options.out is not None:
        writers.append(video_writer(stream, sources[0], options))
    if options.json_lines is not None:
        writers.append(JsonLinesWriter(options.json_lines, stream.name))
    predictor = stream_predictor(console, model, stream, batch_size, settings)
    summary = Summary(predictor.class_names)
    run_stream(console, stream, detect_frames(predictor, stream), writers, summary)


def open_stream(console: Console, source: str, options: StreamOptions) -> "FrameStream":
    """Open the stream of SOURCE, which says on the console when it connects again."""
    from cspdarknet.inference import FrameStream

    return FrameStream(
        source,
        every_frame=options.every_frame or None,
        reconnect=options.reconnect,
        notify=lambda text: say(console, text),
    )


def stream_predictor(
    console: Console,
    model: str,
    stream: "FrameStream",
    batch_size: int,
    settings: Mapping[str, Any],
) -> "Predictor":
    """Return the predictor of MODEL: of live streams, for one frame at a time."""
    one_image = stream.is_live and "tiles" not in settings
    with console.status("loading the model"):
        return load_predictor(
            model,
            "detection",
            mode="latency" if stream.is_live else "throughput",
            batch_size=1 if one_image else batch_size,
            **settings,
        )


def video_writer(
    stream: "FrameStream", source: str, options: StreamOptions, draw: "Draw | None" = None
) -> "SegmentWriter":
    """Return the writer of the videos of a stream: of a file one of its name, else dated ones.

    Raises:
        ValueError: if it would replace something else than a video of an earlier run.
    """
    from cspdarknet.inference.copies import VIDEO_SUFFIXES, CopyFolder
    from cspdarknet.inference.frame_writers import SegmentWriter, dated_paths

    assert options.out is not None
    out = Path(options.out)
    if out.exists() and not out.is_dir():
        raise ValueError(f"`--out` must name a folder for the videos. Received: {out}")
    path = Path(source)
    if stream.is_live or not path.is_file():
        paths = dated_paths(out, stream.name.rsplit("@")[-1])
        length = options.segment if stream.is_live else math.inf
        return SegmentWriter(paths, stream.frame_rate, length, draw)
    if path.resolve().parent == out.resolve():
        raise ValueError(f"{out} holds the video: choose another folder.")
    copies = CopyFolder(out)
    copies.add([Path(path.name)], VIDEO_SUFFIXES)
    copies.check_replaceable()
    return SegmentWriter(lambda: copies.prepare(Path(path.name)), stream.frame_rate, draw=draw)


def run_stream(
    console: Console,
    stream: "FrameStream",
    results: Iterable[tuple["Frame", "Detections"]],
    writers: Sequence["FrameWriter"],
    summary: Summary,
    counts: "Counts | None" = None,
) -> None:
    """Write the results of all frames, until the stream or a signal ends it; then sum up.

    Raises:
        Exit: (of typer) with the status of the signal, or 1 if the stream failed.
    """
    failures: list[str] = []
    with (
        stopped_by_signals(stream.stop) as signals,
        stream,
        ExitStack() as stack,
        console.status(escape(stream.name)) as status,
    ):
        for writer in writers:
            stack.enter_context(writer)
        try:
            for frame, detections in results:
                facts: dict[str, Any] = {}
                if counts is not None:
                    counts.update(detections)
                    facts["counts"] = counts.to_json()
                age = stream.age(frame)
                if stream.is_live:
                    facts["age"] = round(age, 3)
                summary.add(detections, age)
                for writer in writers:
                    writer.write(frame, detections, **facts)
                status.update(escape(f"{stream.name}: {summary.line(stream)}"))
        except ImageError as error:
            failures.append(str(error))
        except OSError as error:
            if not _is_broken_pipe(error):
                raise
    print_table(console, summary.table())
    for line in _count_lines(counts):
        say(console, line)
    say(console, f"{stream.name}: {summary.line(stream)}.")
    report_failures(console, failures)
    if signals:
        raise typer.Exit(STATUS + signals[0])


def _count_lines(counts: "Counts | None") -> Iterator[str]:
    """Yield a line of text for each line and zone."""
    found = {"lines": [], "zones": []} if counts is None else counts.to_json()
    for i, line in enumerate(found["lines"], 1):
        yield f"line {i}: {line['in']} in, {line['out']} out"
    for i, zone in enumerate(found["zones"], 1):
        yield f"zone {i}: {zone['total']} objects, {zone['objects']} of them at the end"


def _is_broken_pipe(error: OSError) -> bool:
    """Whether the reader of the standard output is gone, as `head` is after some lines."""
    if not isinstance(error.__cause__, BrokenPipeError):
        return False
    # The rest of the buffer would fail again at the end of the program.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
