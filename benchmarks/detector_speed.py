"""How long does a detector take from an image to boxes, compared with ONNX Runtime and PyTorch?

`detector.predict` on the current backend, ONNX Runtime and plain PyTorch take turns in one process,
one image at a time, at the image size of each model size. The peers do what YOLOX's own ONNX demo
does: letterbox (ours, for all), network, then decoding and NMS in NumPy. All have the same random
weights, and the script stops if our raw outputs differ from those of ONNX Runtime. With `--onnx`,
we and ONNX Runtime get the weights of the official nano.

    KERAS_BACKEND=torch python benchmarks/detector_speed.py
    KERAS_BACKEND=jax python benchmarks/detector_speed.py --model-sizes nano --onnx yolox_nano.onnx
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
import torch
from harness.arguments import benchmark_parser
from harness.images import photograph
from harness.results import Row, write_results
from harness.turns import (
    Run,
    limit_cores,
    median_ratio,
    median_seconds,
    time_functions,
    timing_note,
)
from peers.plain_pytorch import export_onnx, with_random_weights
from peers.plain_yolox import PlainYOLOX, detect, numpy_function, preprocess
from peers.runtimes import Function, onnxruntime_function

from cspdarknet import YOLOXDetector, load_model
from cspdarknet.detections import DetectionOptions
from cspdarknet.yolox.letterbox import letterbox

# Image size, and the COCO AP (percent) that the authors of YOLOX report.
SIZES = {
    "nano": (416, 25.8),
    "tiny": (416, 32.8),
    "s": (640, 40.5),
    "m": (640, 46.9),
    "l": (640, 49.7),
    "x": (640, 51.1),
}
CANDIDATES = 50  # anchor points above the score threshold, about as many as in an image of COCO
IOU_THRESHOLD = 0.65
TOLERANCE = 2e-3  # of raw outputs, in float32


@dataclass(frozen=True)
class Contest:
    """Three networks with the same weights, and an image for them.

    Attributes:
        detector: Our detector.
        onnx: The network in ONNX Runtime, from `(1, 3, size, size)` to `(1, anchors, 85)`.
        plain: The network in plain PyTorch, likewise.
        image: uint8 `(height, width, 3)`.
        image_size: Side in pixels that the image is letterboxed to.
    """

    detector: YOLOXDetector
    onnx: Function
    plain: Function
    image: np.ndarray
    image_size: int


def prepare(model_size: str, official: Path | None, threads: int) -> Contest:
    """Build the three networks of a model size."""
    image, image_size = photograph(np.random.default_rng(0)), SIZES[model_size][0]
    inputs = torch.from_numpy(preprocess(image, image_size)[0])
    plain = with_random_weights(lambda: PlainYOLOX(model_size), inputs)
    with tempfile.TemporaryDirectory() as folder:
        path = official or Path(folder) / "plain.onnx"
        if not official:
            export_onnx(plain, inputs, path)
        detector = load_model(path, image_size=image_size)
        onnx = onnxruntime_function(path, threads)
    return Contest(detector, onnx, numpy_function(plain), image, image_size)


def raw_outputs(detector: YOLOXDetector, square: np.ndarray) -> np.ndarray:
    """Return our raw outputs in the form of YOLOX's export: scores after the sigmoid."""
    outputs = detector.predict_on_batch(square)
    scores = [1 / (1 + np.exp(-outputs[name])) for name in ("objectness", "classes")]
    return np.concatenate([outputs["boxes"], *scores], axis=-1)


def check(contest: Contest, square: np.ndarray, inputs: np.ndarray) -> float:
    """Return the maximum absolute error of our raw outputs against those of ONNX Runtime.

    Raises:
        SystemExit: If they are not those of the same network.
    """
    ours, reference = raw_outputs(contest.detector, square), contest.onnx(inputs)
    error = float(np.abs(ours - reference).max())
    # Deep networks of random weights have larger outputs, and larger errors.
    if error > TOLERANCE * max(1.0, float(np.abs(reference).max())):
        sys.exit(f"The raw outputs differ by {error}: these are different networks.")
    return error


def score_threshold(outputs: np.ndarray) -> float:
    """Return the score that `CANDIDATES` anchor points reach."""
    scores = outputs[0, :, 4:5] * outputs[0, :, 5:]
    return float(np.sort(scores.max(-1))[-CANDIDATES])


def contestants(contest: Contest, square: np.ndarray, inputs: np.ndarray) -> dict[str, Run]:
    """Return the functions that take turns."""
    detector, image, size = contest.detector, contest.image, contest.image_size
    options = DetectionOptions(score_threshold(contest.onnx(inputs)), IOU_THRESHOLD)
    runs: dict[str, Run] = {
        "letterbox": lambda: letterbox(image, size),
        "ours": lambda: detector.predict([image], batch_size=1, options=options),
        "ours, network": lambda: detector.predict_on_batch(square),
    }

    def add(name: str, network: Function) -> None:
        threshold = score_threshold(network(inputs))
        runs[name] = lambda: detect(network, image, size, threshold, IOU_THRESHOLD)
        runs[f"{name}, network"] = lambda: network(inputs)

    add("ONNX Runtime", contest.onnx)
    add("PyTorch", contest.plain)
    return runs


def measure(model_size: str, official: Path | None, threads: int, rounds: int) -> Row:
    """Return a row of the table: milliseconds for an image, and ratios."""
    contest = prepare(model_size, official, threads)
    square = letterbox(contest.image, contest.image_size)[0].astype("float32")[None]
    inputs = preprocess(contest.image, contest.image_size)[0]
    error = check(contest, square, inputs)
    runs = contestants(contest, square, inputs)
    times = time_functions(runs, rounds, threads, warm_up=2)
    return {
        "model_size": model_size,
        "image_size": contest.image_size,
        "COCO AP": SIZES[model_size][1],
        **{f"{name}, ms": round(1e3 * median_seconds(t), 1) for name, t in times.items()},
        **{
            f"ours / {peer}": round(median_ratio(times["ours"], times[peer]), 2)
            for peer in ("ONNX Runtime", "PyTorch")
        },
        "maximum absolute error": f"{error:.0e}",
    }


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=9, threads=True)
    parser.add_argument("--model-sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--onnx", type=Path, help="the official ONNX file of nano")
    parser.add_argument("--note", default="", help="a note for the results")
    options = parser.parse_args()
    limit_cores(options.threads)
    backend = keras.backend.backend()
    text = (
        "Milliseconds from the pixels of an image of 640 x 480 to its boxes, one image at a time, "
        f"on {backend}: {timing_note(options.rounds, options.threads)}. They include the "
        "letterbox; a network alone is timed too. COCO AP is the one that the authors of YOLOX "
        f"report. {options.note}"
    )
    rows = []
    for model_size in options.model_sizes:
        official = options.onnx if model_size == "nano" else None
        rows.append(measure(model_size, official, options.threads, options.rounds))
        print(rows[-1], flush=True)
        write_results(options.out, f"detector_speed_{backend}", text, rows)


if __name__ == "__main__":
    main()
