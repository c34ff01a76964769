"""How well do the four trackers keep the identities of blood cells under a moving window?

A window of 640 x 480 pixels moves over mosaics of twelve images of BCCD's validation split, so that
each annotated cell has a known identity. Objects of which less than half is visible count neither
for nor against a tracker. The metrics are those of the evaluation in the package `trackers`. With
the annotations in place of detections, they measure the tracker alone; BCCD's annotations leave
out many red cells, so that the detector's false positives are not all wrong.

    python benchmarks/tracking.py --data DIR
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from harness.arguments import benchmark_parser
from harness.results import Row, write_results
from trackers.eval import evaluate_mot_sequences

from cspdarknet import Detections, Predictor
from cspdarknet.data import load_detection_dataset
from cspdarknet.data.detection.dataset import DetectionDataset
from cspdarknet.images import read_image
from cspdarknet.inference import track
from cspdarknet.inference.frame_writers import MotWriter
from cspdarknet.inference.frames import Frame
from cspdarknet.inference.tracks import TRACKERS

TILE, COLUMNS, ROWS = (480, 640), 4, 3
RATE = 25.0
VISIBLE = 0.5  # fraction of an object's area from which it counts
Stream = Iterable[tuple[Frame, Detections]]
COUNTED, DISTRACTOR = 1, 8  # classes of MOTChallenge; what matches a distractor is left out


@dataclass
class Sequence:
    """Frames of a window over a mosaic, and the visible objects in each."""

    images: list[np.ndarray]
    boxes: list[np.ndarray]
    ids: list[np.ndarray]
    counted: list[np.ndarray]


def mosaic(dataset: DetectionDataset, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return a mosaic of images, and the boxes in it."""
    height, width = TILE
    canvas = np.zeros((ROWS * height, COLUMNS * width, 3), "uint8")
    boxes = []
    for place, i in enumerate(indices):
        y, x = place // COLUMNS * height, place % COLUMNS * width
        canvas[y : y + height, x : x + width] = read_image(dataset.paths[i])
        boxes.append(dataset.boxes[i] + np.array([x, y, x, y]))
    return canvas, np.concatenate(boxes)


def window_path(frames: int, seed: int) -> np.ndarray:
    """Return the left top corner of the window in each frame: a smooth path at a varying speed."""
    height, width = TILE
    rng = np.random.default_rng(seed)
    phase, times = rng.uniform(0, 2 * np.pi, 2), np.linspace(0, 1, frames)
    x = (1 + np.sin(2 * np.pi * times + phase[0])) / 2 * (COLUMNS - 1) * width
    y = (1 + np.sin(4 * np.pi * times + phase[1])) / 2 * (ROWS - 1) * height
    path: np.ndarray = np.rint(np.stack([x, y], axis=1)).astype(int)
    return path


def make_sequence(dataset: DetectionDataset, seed: int, frames: int) -> Sequence:
    """Return a sequence over a mosaic of random images."""
    height, width = TILE
    indices = np.random.default_rng(seed).choice(len(dataset), ROWS * COLUMNS, replace=False)
    canvas, boxes = mosaic(dataset, indices)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    visits, was_visible = np.zeros(len(boxes), int), np.zeros(len(boxes), bool)
    sequence = Sequence([], [], [], [])
    for x, y in window_path(frames, seed):
        moved = (boxes - [x, y, x, y]).clip(0, [width, height, width, height])
        visible = np.prod(moved[:, 2:] - moved[:, :2], axis=1) / area
        # An object that comes back into the window is a new one.
        visits += (visible > 0) & ~was_visible
        was_visible = visible > 0
        ids = np.flatnonzero(was_visible)
        sequence.images.append(canvas[y : y + height, x : x + width])
        sequence.boxes.append(moved[ids])
        sequence.ids.append(visits[ids] * len(boxes) + ids)
        sequence.counted.append(visible[ids] >= VISIBLE)
    return sequence


def write_ground_truth(path: Path, sequence: Sequence) -> None:
    """Write the identities of a sequence as a MOT file."""
    rows = []
    for i, boxes in enumerate(sequence.boxes):
        objects = zip(boxes.tolist(), sequence.ids[i], sequence.counted[i], strict=True)
        for (x1, y1, x2, y2), identity, counts in objects:
            kind = COUNTED if counts else DISTRACTOR
            rows.append(f"{i + 1},{identity + 1},{x1},{y1},{x2 - x1},{y2 - y1},1,{kind},1\n")
    path.write_text("".join(rows))


def annotated_boxes(sequence: Sequence) -> list[Detections]:
    """Return the annotated boxes as detections."""
    kept = [boxes[counts] for boxes, counts in zip(sequence.boxes, sequence.counted, strict=True)]
    return [Detections(k, np.ones(len(k)), np.zeros(len(k), int), TILE) for k in kept]


def write_tracks(path: Path, stream: Stream, tracker: str) -> None:
    """Track a sequence, and write the result as a MOT file."""
    with MotWriter(path) as writer:
        for frame, detections in track(stream, tracker, frame_rate=RATE):
            writer.write(frame, detections)


def metrics(truth: Path, tracks: Path) -> Row:
    """Return the metrics of one tracker over all sequences."""
    result = evaluate_mot_sequences(truth, tracks, metrics=["CLEAR", "HOTA", "Identity"]).aggregate
    assert result.HOTA
    assert result.Identity
    assert result.CLEAR
    return {
        "HOTA": round(100 * result.HOTA.HOTA, 1),
        "IDF1": round(100 * result.Identity.IDF1, 1),
        "MOTA": round(100 * result.CLEAR.MOTA, 1),
        "AssA": round(100 * result.HOTA.AssA, 1),
        "DetA": round(100 * result.HOTA.DetA, 1),
        "switches": result.CLEAR.IDSW,
    }


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--model", default="yolox_nano_bccd")
    parser.add_argument("--data", type=Path, required=True, help="folder of the BCCD dataset")
    parser.add_argument("--sequences", type=int, default=4)
    parser.add_argument("--frames", type=int, default=400, help="number in each sequence")
    options = parser.parse_args()
    dataset = load_detection_dataset(options.data, on_problem="fix").validation
    assert dataset is not None
    sequences = [make_sequence(dataset, i, options.frames) for i in range(options.sequences)]
    predictor = Predictor(options.model, mode="throughput")
    sources = {
        "annotations": [annotated_boxes(sequence) for sequence in sequences],
        options.model: [[d for _, d in predictor.stream(s.images)] for s in sequences],
    }
    rows: list[Row] = []
    with TemporaryDirectory() as name:
        truth = Path(name, "truth")
        truth.mkdir()
        for i, sequence in enumerate(sequences):
            write_ground_truth(truth / f"{i}.txt", sequence)
        for (source, found), tracker in product(sources.items(), TRACKERS):
            folder = Path(name, f"{source}-{tracker}")
            folder.mkdir()
            for i, sequence in enumerate(sequences):
                frames = (Frame(image, j, j / RATE) for j, image in enumerate(sequence.images))
                write_tracks(folder / f"{i}.txt", zip(frames, found[i], strict=True), tracker)
            rows.append({"detections": source, "tracker": tracker, **metrics(truth, folder)})
            print(rows[-1], flush=True)
    text = (
        f"Tracks of cells in {options.sequences} sequences of {options.frames} frames, a moving "
        "window over mosaics of BCCD's validation images. Annotations in place of detections "
        "measure the tracker alone. `switches` are changes of an object's id."
    )
    write_results(options.out, "tracking", text, rows)


if __name__ == "__main__":
    main()
