"""Does a detector with level P2 find more small objects, after the same training?

Photos of blood cells (BCCD, in the folder `--data`) are shrunk, so that platelets are some twelve
pixels long. Detectors of the levels P3 to P5 and P2 to P5 start from the same weights, whose levels
are P3 to P5, and train on these photos in the same way. The average precision (AP) by COCO's sizes
is that of the boxes in the shrunk photos: small ones have less than 32 x 32 pixels.

    KERAS_BACKEND=torch python benchmarks/small_objects.py --data bccd --model yolox_nano.pth
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from harness.arguments import benchmark_parser
from harness.results import Row, write_results
from PIL import Image
from rich.console import Console

from cspdarknet import Predictor, load_model
from cspdarknet.data import DetectionDataset, load_detection_dataset
from cspdarknet.evaluate import DetectionEvaluation, evaluate_detector
from cspdarknet.train import DETECTION_RECIPES, customize, train_detector

LEVELS = (("P3", "P4", "P5"), ("P2", "P3", "P4", "P5"))


def main() -> None:
    args = parsed()
    splits = load_detection_dataset(args.data, on_problem="fix")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "shrunk"
        write_shrunk(data, "train", splits.train.take(np.arange(args.images)), args.factor)
        write_shrunk(data, "val", splits.validation, args.factor)
        names = "".join(f"{name}\n" for name in splits.class_names)
        (data / "classes.txt").write_text(names)
        for seed in range(args.seeds):
            for levels in LEVELS:
                run = Path(folder) / f"{'-'.join(levels)}_{seed}"
                rows.append(measured(data, run, levels, seed, args))
                print(rows[-1], flush=True)
    text = (
        f"# Small objects\n\n{args.images} training photos and {len(splits.validation)} validation "
        f"photos, shrunk by {args.factor}; {args.epochs} epochs at {args.image_size} pixels from "
        f"the weights {Path(args.model).name}. AP is the mean over IoU 0.5 to 0.95."
    )
    write_results(args.out, "small_objects", text, rows)


def parsed() -> argparse.Namespace:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the photos")
    parser.add_argument("--model", default="yolox_nano_coco", help="the model to start from")
    parser.add_argument("--images", type=int, default=160, help="number of training photos")
    parser.add_argument("--factor", type=float, default=0.3, help="by which photos are shrunk")
    parser.add_argument("--image-size", type=int, default=192, help="side in pixels")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seeds", type=int, default=1, help="number of trainings of each")
    return parser.parse_args()


def write_shrunk(folder: Path, split: str, dataset: DetectionDataset, factor: float) -> None:
    """Write shrunk copies of photos with their boxes, as a YOLO dataset."""
    images, labels = (folder / kind / split for kind in ("images", "labels"))
    images.mkdir(parents=True)
    labels.mkdir(parents=True)
    for path, boxes, classes in zip(dataset.paths, dataset.boxes, dataset.labels, strict=True):
        with Image.open(path) as photo:
            width, height = photo.size
            size = round(width * factor), round(height * factor)
            photo.convert("RGB").resize(size, Image.Resampling.BOX).save(
                images / f"{path.stem}.png"
            )
        lines = []
        for (x1, y1, x2, y2), label in zip(boxes.tolist(), classes.tolist(), strict=True):
            center = (x1 + x2) / 2 / width, (y1 + y2) / 2 / height
            values = *center, (x2 - x1) / width, (y2 - y1) / height
            lines.append(f"{label} {' '.join(f'{value:.6f}' for value in values)}\n")
        (labels / f"{path.stem}.txt").write_text("".join(lines))


def measured(
    data: Path, run: Path, levels: tuple[str, ...], seed: int, args: argparse.Namespace
) -> Row:
    """Train a detector of some levels, and return its average precision by size and class."""
    recipe = customize(
        DETECTION_RECIPES["finetune"],
        epochs=args.epochs,
        image_size=args.image_size,
        batch_size=8,
        evaluate_every=args.epochs,
        levels=levels,
        seed=seed,
    )
    train_detector(data, run, args.model, recipe, check=False, console=Console(quiet=True))
    predictor = Predictor(run / "best", runtime="keras")
    evaluation = evaluate_detector(predictor, load_detection_dataset(data).validation)
    return {
        "levels": f"{levels[0]} to {levels[-1]}",
        "seed": seed,
        **average_precisions(evaluation),
        "parameters": load_model(run / "best").count_params(),
    }


def average_precisions(evaluation: DetectionEvaluation) -> Row:
    metrics = evaluation.average_precision
    by_size = {f"AP {name}": value for name, value in metrics.map_by_area.items()}
    by_class = {
        f"AP {name}": metrics.of_class(i) for i, name in enumerate(evaluation.dataset.class_names)
    }
    at_50 = {
        f"AP50 {name}": metrics.of_class_at_50(i)
        for i, name in enumerate(evaluation.dataset.class_names)
    }
    table = {"mAP": metrics.map, "mAP50": metrics.map50, **by_size, **by_class, **at_50}
    return {name: None if value is None else round(value, 4) for name, value in table.items()}


if __name__ == "__main__":
    main()
