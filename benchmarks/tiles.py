"""Are objects in a large image found in tiles as in its parts, and what do the tiles cost?

Photos of blood cells (BCCD, in the folder `--data`) become one mosaic, with gray gaps between them.
The bundled detector sees the single photos; the mosaic shrunk; the mosaic in tiles; and the mosaic
in the slices of `supervision.InferenceSlicer`, which call the same predictor. Each detection in the
mosaic counts for the photo that its center is in, and ends where the photo does, so that all have
the same ground truth. Most white blood cells are shorter than 0.45 of a tile, hence the overlap.
The detector is best where in its input the photos of its training were: `moved photos` are single
photos in a gray tile, at random places. The seconds are those from the mosaic in memory to its
detections; the model alone gets the same tiles, cut and resized before the clock starts.

    python benchmarks/tiles.py --data bccd --grid 3 3
    python benchmarks/tiles.py --data bccd --grid 12 12 --rounds 3
    python benchmarks/tiles.py --data bccd --grid 12 12 --overlap 0.2 --name tiles_less_overlap
"""

import argparse
import functools
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from harness.arguments import benchmark_parser
from harness.results import Row, write_results
from harness.turns import Run, median_ratio, median_seconds, time_functions, timing_note

from cspdarknet import Predictor
from cspdarknet.data import DetectionDataset, load_detection_dataset
from cspdarknet.detections import DetectionOptions, Detections
from cspdarknet.evaluate import DetectionEvaluation
from cspdarknet.images import read_image
from cspdarknet.tiles import Tiles
from cspdarknet.yolox.letterbox import PADDING, letterbox

MODEL = "yolox_nano_bccd"
PHOTO = 480, 640  # height and width of a photo
CELL = 500, 666  # height and width of a photo and the gap beside it: 12 x 12 are 8000 x 6000
# Lower scores hardly change mAP, and the time of other software is quadratic in their number.
OPTIONS = DetectionOptions(score_threshold=0.01, max_detections=300)
Detect = Callable[[np.ndarray], Detections]


def main() -> None:
    args = parsed()
    dataset = load_detection_dataset(args.data, on_problem="fix").validation
    rows, columns = args.grid
    photos = dataset.take(np.arange(rows * columns) % len(dataset))
    mosaic, tiles = paint(photos, columns), Tiles(args.tile, args.overlap)
    settings = {
        "image_size": args.image_size,
        "threads": args.threads,
        "batch_size": args.batch_size,
    }
    found = accuracy(photos, mosaic, columns, tiles, settings)
    runs: dict[str, Run] = {
        name: functools.partial(detect, mosaic)
        for name, detect in contestants(tiles, settings).items()
    }
    runs["model alone"] = model_alone(mosaic, tiles, settings)
    times = time_functions(runs, args.rounds)
    table = []
    for name in dict.fromkeys([*found, *times]):
        row: Row = {"contestant": name, **found.get(name, {})}
        if name in times:
            row["seconds"] = round(median_seconds(times[name]), 2)
            row["time / model alone"] = round(median_ratio(times[name], times["model alone"]), 3)
        table.append(row)
        print(row)
    height, width = mosaic.shape[:2]
    text = (
        f"# Tiles of large images\n\nA mosaic of {len(photos)} photos, {width} x {height} pixels, "
        f"in {len(tiles.windows(height, width))} tiles of {args.tile} pixels that overlap by "
        f"{args.overlap}; {timing_note(args.rounds, args.threads)}, at the default score threshold."
    )
    write_results(args.out, args.name, text, table)


def accuracy(
    photos: DetectionDataset,
    mosaic: np.ndarray,
    columns: int,
    tiles: Tiles,
    settings: dict[str, Any],
) -> dict[str, Row]:
    """Return mAP of all contestants, on detections of all scores."""
    options = {**settings, "options": OPTIONS}
    predictor = Predictor(MODEL, mode="throughput", **options)
    single = [detections for _, detections in predictor.stream(photos.paths)]
    found = {
        "single photos": metrics(photos, single),
        "moved photos": metrics(photos, moved_photos(photos, predictor, tiles.size)),
    }
    for name, detect in contestants(tiles, options).items():
        found[name] = metrics(photos, in_cells(detect(mosaic), photos, columns))
        print(name, found[name])
    return found


def moved_photos(photos: DetectionDataset, predictor: Predictor, side: int) -> list[Detections]:
    """Return the detections in single photos at random places in a gray tile."""
    rng, images, places = np.random.default_rng(0), [], []
    for path in photos.paths:
        photo = read_image(path)
        room = np.maximum(side - np.array(photo.shape[1::-1]), 0)
        left, top = rng.integers(0, room + 1)
        image = np.full((max(side, len(photo)), max(side, photo.shape[1]), 3), PADDING, "uint8")
        image[top : top + len(photo), left : left + photo.shape[1]] = photo
        images.append(image)
        places.append(np.array([left, top] * 2, "float32"))
    return list(map(in_photo, predictor(images), places))


def parsed() -> argparse.Namespace:
    parser = benchmark_parser(__doc__, rounds=5, threads=True)
    add = parser.add_argument
    add("--data", type=Path, required=True, help="folder of BCCD")
    add("--grid", type=int, nargs=2, default=[3, 3], help="rows and columns of photos")
    add("--tile", type=int, default=640)
    add("--overlap", type=float, default=0.45)
    add("--batch-size", type=int, default=1, help="tiles in a batch")
    add("--image-size", type=int, help="side of the model's input; default: the model's own")
    add("--name", default="tiles", help="name of the files of the results")
    return parser.parse_args()


def paint(photos: DetectionDataset, columns: int) -> np.ndarray:
    """Return the mosaic."""
    height, width = CELL
    rows = len(photos) // columns
    mosaic = np.full((rows * height, columns * width, 3), PADDING, "uint8")
    for i, path in enumerate(photos.paths):
        image = read_image(path)
        top, left = i // columns * height, i % columns * width
        mosaic[top : top + len(image), left : left + image.shape[1]] = image
    return mosaic


def in_cells(
    detections: Detections, photos: DetectionDataset, columns: int
) -> Sequence[Detections]:
    """Return the detections of each photo, in its own pixels."""
    height, width = CELL
    centers = (detections.xyxy[:, :2] + detections.xyxy[:, 2:]) / 2
    rows = len(photos) // columns
    row = (centers[:, 1] // height).clip(0, rows - 1).astype(int)
    column = (centers[:, 0] // width).clip(0, columns - 1).astype(int)
    result = []
    for i in range(len(photos)):
        part = detections[(row == i // columns) & (column == i % columns)]
        offset = np.array([i % columns * width, i // columns * height] * 2, "float32")
        result.append(in_photo(part, offset))
    return result


def in_photo(detections: Detections, place: np.ndarray) -> Detections:
    """Return detections in pixels of the photo at a place, which ends where the photo does."""
    height, width = PHOTO
    boxes = (detections.xyxy - place).clip(0, np.array([width, height] * 2, "float32"))
    return replace(detections, xyxy=boxes, image_size=PHOTO)


def metrics(photos: DetectionDataset, detections: Sequence[Detections]) -> Row:
    evaluation = DetectionEvaluation(photos, tuple(detections), {})
    found = evaluation.average_precision
    row: Row = {"mAP": round(found.map or 0, 4), "mAP50": round(found.map50 or 0, 4)}
    return row | {f"AP {c.name}": round(c.ap or 0, 4) for c in evaluation.classes}


def contestants(tiles: Tiles, settings: dict[str, Any]) -> dict[str, Detect]:
    plain = Predictor(MODEL, **{**settings, "batch_size": None})
    ours = {"shrunk": plain}
    ours["tiles"] = Predictor(MODEL, tiles=tiles, mode="throughput", **settings)
    return {**ours, "supervision": supervision_slicer(plain, tiles)}


def supervision_slicer(predictor: Predictor, tiles: Tiles) -> Detect:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import supervision

    overlap = round(tiles.size * tiles.overlap)
    slicer = supervision.InferenceSlicer(
        callback=lambda part: predictor(np.ascontiguousarray(part)).to_supervision(),
        slice_wh=(tiles.size, tiles.size),
        overlap_wh=(overlap, overlap),
        thread_workers=1,
    )

    def detect(image: np.ndarray) -> Detections:
        found: Any = slicer(image)
        return Detections(found.xyxy, found.confidence, found.class_id, image.shape[:2])

    return detect


def model_alone(mosaic: np.ndarray, tiles: Tiles, settings: dict[str, Any]) -> Run:
    """Return the detection in the same tiles, cut and resized beforehand."""
    predictor = Predictor(MODEL, mode="throughput", **settings)
    size = predictor.info.image_size or tiles.size
    inputs = [
        letterbox(mosaic[w.top : w.bottom, w.left : w.right], size)[0]
        for w in tiles.windows(*mosaic.shape[:2])
    ]
    return lambda: list(predictor.stream(inputs))


if __name__ == "__main__":
    main()
