"""How long does YOLOX take from the pixels of a photo to its boxes, here and elsewhere?

`detector.predict` on the current backend, ONNX Runtime and plain PyTorch take turns in one process,
one photo at a time, at each size's own input. The peers do what YOLOX's own ONNX demo does:
letterbox (ours, for all), network, then decoding and non-maximum suppression in NumPy. All run the
same random weights; the script stops if our raw outputs are not those of ONNX Runtime. `--onnx`
gives us and ONNX Runtime the official nano instead.

    KERAS_BACKEND=torch python benchmarks/detector_speed.py
    KERAS_BACKEND=jax python benchmarks/detector_speed.py --sizes nano --onnx yolox_nano.onnx
"""

import argparse
import os
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import torch
from harness.results import RESULTS, write_table
from harness.turns import in_turns, in_words, limit_cores, median_ratio
from peers.plain_yolox import (
    as_function,
    export,
    network_input,
    onnx_function,
    photo_to_boxes,
    random_yolox,
)
from PIL import Image, ImageFilter

from cspdarknet.detections import DetectionOptions
from cspdarknet.models import YOLOXDetector
from cspdarknet.yolox.letterbox import letterbox

# Side of the input, and the COCO AP (percent) that the authors of YOLOX report.
SIZES = {
    "nano": (416, 25.8),
    "tiny": (416, 32.8),
    "s": (640, 40.5),
    "m": (640, 46.9),
    "l": (640, 49.7),
    "x": (640, 51.1),
}
CANDIDATES = 50  # places of a photo that are sure enough, about as many as on a photo of COCO
IOU_THRESHOLD = 0.65
TOLERANCE = 2e-3  # of raw outputs, in float32


@dataclass(frozen=True)
class Contest:
    """The three networks, with the same weights, and the photo that they look at.

    Attributes:
        detector: ours.
        onnx: that of ONNX Runtime, from `(1, 3, side, side)` to `(1, places, 85)`.
        plain: that of plain PyTorch, likewise.
        photo: uint8 `(height, width, 3)`.
        side: of the input in pixels.
    """

    detector: YOLOXDetector
    onnx: Callable[[np.ndarray], np.ndarray]
    plain: Callable[[np.ndarray], np.ndarray]
    photo: np.ndarray
    side: int


def make_photo() -> np.ndarray:
    """Return 640 x 480 pixels with the detail of a real photo: blurred noise."""
    noise = np.random.default_rng(0).integers(0, 255, (480, 640, 3), "uint8")
    return np.asarray(Image.fromarray(noise).filter(ImageFilter.GaussianBlur(2)))


def prepare(size: str, official: Path | None, threads: int) -> Contest:
    """Build the three networks of one size."""
    photo, side = make_photo(), SIZES[size][0]
    images = torch.from_numpy(network_input(photo, side)[0])
    model = random_yolox(size, images)
    with tempfile.TemporaryDirectory() as folder:
        path = official or Path(folder) / "plain.onnx"
        if not official:
            export(model, images, path)
        detector = YOLOXDetector.from_preset(path, image_size=side)
        onnx = onnx_function(path, threads)
    return Contest(detector, onnx, as_function(model), photo, side)


def raw_outputs(detector: YOLOXDetector, square: np.ndarray) -> np.ndarray:
    """Return what YOLOX's export gives for an RGB square: sigmoids, but boxes as they are."""
    found = detector.predict_on_batch(square)
    sigmoids = [1 / (1 + np.exp(-found[name])) for name in ("objectness", "classes")]
    return np.concatenate([found["boxes"], *sigmoids], axis=-1)


def check(contest: Contest, square: np.ndarray, images: np.ndarray) -> float:
    """Return the largest difference between our raw outputs and those of ONNX Runtime.

    Raises:
        SystemExit: if they aren't those of the same network.
    """
    ours, reference = raw_outputs(contest.detector, square), contest.onnx(images)
    difference = float(np.abs(ours - reference).max())
    # Deep networks of random weights give larger numbers, and larger differences.
    if difference > TOLERANCE * max(1.0, float(np.abs(reference).max())):
        raise SystemExit(f"The raw outputs differ by {difference}: these are different networks.")
    return difference


def score_threshold(outputs: np.ndarray) -> float:
    """Return the score that `CANDIDATES` places reach."""
    scores = outputs[0, :, 4:5] * outputs[0, :, 5:]
    return float(np.sort(scores.max(-1))[-CANDIDATES])


def cases(contest: Contest, square: np.ndarray, images: np.ndarray) -> dict[str, Callable[[], Any]]:
    """Return what takes turns."""
    detector, photo, side = contest.detector, contest.photo, contest.side
    score = score_threshold(contest.onnx(images))
    options = DetectionOptions(score, IOU_THRESHOLD)
    runs: dict[str, Callable[[], Any]] = {
        "letterbox": lambda: letterbox(photo, side),
        "ours": lambda: detector.predict([photo], batch_size=1, options=options),
        "ours, network": lambda: detector.predict_on_batch(square),
    }

    def add(name: str, network: Callable[[np.ndarray], np.ndarray]) -> None:
        score = score_threshold(network(images))
        runs[name] = lambda: photo_to_boxes(network, photo, side, score, IOU_THRESHOLD)
        runs[f"{name}, network"] = lambda: network(images)

    add("ONNX Runtime", contest.onnx)
    add("PyTorch", contest.plain)
    return runs


def measure(size: str, official: Path | None, threads: int, rounds: int) -> dict[str, Any]:
    """Return a row of the table: milliseconds for a photo, and ratios."""
    contest = prepare(size, official, threads)
    square = letterbox(contest.photo, contest.side)[0].astype("float32")[None]
    images = network_input(contest.photo, contest.side)[0]
    difference = check(contest, square, images)
    times = in_turns(cases(contest, square, images), rounds, threads)
    row: dict[str, Any] = {"size": size, "pixels": contest.side, "COCO AP": SIZES[size][1]}
    row |= {f"{name}, ms": round(statistics.median(t), 1) for name, t in times.items()}
    for peer in ("ONNX Runtime", "PyTorch"):
        row[f"ours / {peer}"] = round(median_ratio(times["ours"], times[peer]), 2)
    return {**row, "outputs differ by": f"{difference:.0e}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--onnx", type=Path, help="the official export of nano")
    parser.add_argument("--note", default="", help="what else the machine did, for the results")
    parser.add_argument("--out", type=Path, default=RESULTS / "detector.md")
    options = parser.parse_args()
    limit_cores(options.threads)
    text = (
        f"Milliseconds from the pixels of a photo of 640 x 480 to its boxes, one photo at a time, "
        f"on {keras.backend.backend()}: {in_words(options.rounds, options.threads)}. The whole way "
        f"includes the letterbox; a network alone is timed too. COCO AP is the one that the "
        f"authors of YOLOX report. {options.note}"
    )
    rows = []
    for size in options.sizes:
        official = options.onnx if size == "nano" else None
        rows.append(measure(size, official, options.threads, options.rounds))
        print(rows[-1], flush=True)
        write_table(options.out, text.strip(), rows)


if __name__ == "__main__":
    main()
