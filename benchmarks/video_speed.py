"""How much slower is detection in a video file than the predictor alone on its frames in memory?

The predictor alone gets the decoded frames as a list of arrays. `detect` decodes the file, and
keeps or writes the results; `track` also assigns ids. All use the same predictor, in turns.

    python benchmarks/video_speed.py
"""

import os
import statistics
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from harness.arguments import benchmark_parser
from harness.images import HEIGHT, WIDTH, photograph
from harness.results import Row, write_results
from harness.turns import median_seconds, time_functions, timing_note
from PIL import Image

from cspdarknet import Predictor
from cspdarknet.inference import FrameStream, ObjectDetector, detect_frames, track
from cspdarknet.inference.frame_writers import JsonLinesWriter
from cspdarknet.inference.video import read_frames, write_video


def write_moving_window(path: Path, frames: int) -> None:
    """Write a video of a window that moves over an enlarged synthetic photograph."""
    picture = Image.fromarray(photograph(np.random.default_rng(0)))
    canvas = np.asarray(picture.resize((2 * WIDTH, 2 * HEIGHT)))
    corners = [(int(t * HEIGHT), int(t * WIDTH)) for t in np.linspace(0, 1, frames)]
    windows = (canvas[y : y + HEIGHT, x : x + WIDTH] for y, x in corners)
    write_video(path, windows, Fraction(25))


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=7)
    parser.add_argument("--model", default="yolox_nano_bccd")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--video", type=Path, help="a video file in place of a made one")
    options = parser.parse_args()
    predictor = Predictor(options.model, mode="throughput")
    with TemporaryDirectory() as name:
        path, lines = options.video or Path(name, "clip.mp4"), Path(name, "clip.jsonl")
        if options.video is None:
            write_moving_window(path, options.frames)
        images = list(read_frames(path))

        def predict() -> None:
            for _ in predictor.stream(images):
                pass

        def detect_lines() -> None:
            with FrameStream(path) as stream, JsonLinesWriter(lines, "clip") as writer:
                for frame, detections in detect_frames(predictor, stream):
                    writer.write(frame, detections)

        def track_objects() -> None:
            with FrameStream(path) as stream:
                for _ in track(detect_frames(predictor, stream)):
                    pass

        runs = {
            "the predictor alone": predict,
            "decoding alone": lambda: [None for _ in read_frames(path)],
            "detect": lambda: ObjectDetector(predictor).detect_video(path),
            "detect --json-lines": detect_lines,
            "detect --out": lambda: ObjectDetector(predictor, Path(name, "out")).detect_video(path),
            "track": track_objects,
        }
        times = time_functions(runs, options.rounds)
    base = times["the predictor alone"]
    rows: list[Row] = [
        {
            "what": what,
            "frames per second": round(len(images) / median_seconds(seconds), 1),
            "of the predictor's": round(
                statistics.median(
                    statistics.median(b) / statistics.median(t)
                    for b, t in zip(base, seconds, strict=True)
                ),
                2,
            ),
        }
        for what, seconds in times.items()
    ]
    for row in rows:
        print(row)
    height, width = images[0].shape[:2]
    text = (
        f"A video of {len(images)} frames of {width} x {height} pixels, {options.model} on "
        f"{predictor.runtime}; {timing_note(options.rounds, os.cpu_count() or 1)}."
    )
    write_results(options.out, "video_speed", text, rows)


if __name__ == "__main__":
    main()
