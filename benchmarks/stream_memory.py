"""Does a stream that is read for long take more and more memory, or fall behind?

A server in another process sends 10 000 JPEG images over HTTP, and a slow stand-in for a detector
takes some of them: the newest, or every one. Their detections are tracked and counted, and written
as JSON lines and as videos. The memory is that of the whole process (Linux) after a tenth of the
frames, and at the end; the age is that of the oldest frame when its result came.

    python benchmarks/stream_memory.py
"""

import io
import multiprocessing
import re
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from harness.arguments import benchmark_parser
from harness.images import photograph
from harness.results import Row, write_results
from PIL import Image

from cspdarknet import Detections
from cspdarknet.images import ImageError
from cspdarknet.inference import Counts, FrameStream, Tracker, TrackPainter, track
from cspdarknet.inference.frame_writers import JsonLinesWriter, SegmentWriter, dated_paths
from cspdarknet.inference.frames import Frame

SEGMENT_SECONDS = 5.0


def serve(connection: Any, frames: int, rate: float) -> None:
    """Send images over HTTP, at most at a rate."""
    files = []
    for seed in range(8):
        file = io.BytesIO()
        Image.fromarray(photograph(np.random.default_rng(seed))).save(file, "JPEG")
        files.append(file.getvalue())

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            start = time.monotonic()
            for i in range(frames):
                data = files[i % len(files)]
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
                self.wfile.write(head.encode() + data + b"\r\n")
                time.sleep(max(0.0, start + i / rate - time.monotonic()))

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    connection.send(server.server_port)
    server.handle_request()


def megabytes() -> float:
    """Return the memory of this process."""
    match = re.search(r"VmRSS:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert match
    return round(int(match[1]) * 1024 / 1e6, 1)


def detected(stream: FrameStream, seconds: float) -> Iterator[tuple[Frame, Detections]]:
    """Yield each frame with boxes that move, after some time."""
    for frame in stream:
        image = frame.image
        time.sleep(seconds)
        x = frame.index % 500 + np.arange(0, 100, 20)
        boxes = np.stack([x, 4 * x / 5, x + 18, 4 * x / 5 + 18], axis=1)
        yield frame, Detections(boxes, np.full(5, 0.9), np.arange(5) % 2, image.shape[:2])


def measure(folder: Path, options: Any, every_frame: bool) -> Row:
    """Read one stream to its end, and return what it took."""
    receiver, sender = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(
        target=serve, args=(sender, options.frames, options.rate), daemon=True
    )
    server.start()
    address = f"http://127.0.0.1:{receiver.recv()}/camera.mjpg"
    stream = FrameStream(address, every_frame=every_frame, reconnect=0)
    counts = Counts([[(320, 0), (320, 480)]], [[(0, 0), (300, 0), (300, 300)]])
    paths = dated_paths(folder, "camera")
    early, results, age = 0.0, 0, 0.0
    seconds = 0.0 if every_frame else options.seconds
    with (
        JsonLinesWriter(folder / "camera.jsonl", stream.name) as lines,
        SegmentWriter(paths, None, SEGMENT_SECONDS, TrackPainter(counts).draw) as videos,
    ):
        try:
            for frame, detections in track(detected(stream, seconds), Tracker("bytetrack")):
                counts.update(detections)
                lines.write(frame, detections, counts=counts.to_json())
                videos.write(frame, detections)
                results += 1
                age = max(age, stream.age(frame))
                if not early and frame.index >= options.frames // 10:
                    early = megabytes()
        except ImageError as error:
            print(error)
    server.terminate()
    return {
        "frames": "every frame" if every_frame else "the newest",
        "received": stream.received,
        "results": results,
        "dropped": stream.dropped,
        "MB after a tenth": early,
        "MB at the end": megabytes(),
        "oldest frame (s)": round(age, 3),
    }


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=150.0, help="frames per second")
    parser.add_argument("--seconds", type=float, default=0.1, help="time of the detector")
    options = parser.parse_args()
    rows = []
    with TemporaryDirectory() as name:
        for every_frame in (False, True):
            rows.append(measure(Path(name), options, every_frame))
            print(rows[-1], flush=True)
    text = (
        f"A stream of {options.frames} images of 640 x 480 pixels over HTTP, at most "
        f"{options.rate:g} in a second. For the newest frame, the detector takes "
        f"{options.seconds:g} s; with every frame, none."
    )
    write_results(options.out, "stream_memory", text, rows)


if __name__ == "__main__":
    main()
