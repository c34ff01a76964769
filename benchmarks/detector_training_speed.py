"""How fast is a detector's training step on each backend, compared with YOLOX's own PyTorch code?

YOLOX's network and losses come from the package pixeltable-yolox. Each contestant is a process of
its own, and they take turns. All train on the same noise and boxes, with SGD.

    python benchmarks/detector_training_speed.py
    python benchmarks/detector_training_speed.py --sizes nano --backends torch --rounds 9

The package is installed into a folder of its own on first use.
"""

import os
import sys
from pathlib import Path

import numpy as np
from harness.arguments import benchmark_parser
from harness.images import noise
from harness.results import Row, write_results
from harness.turns import Run, median_ratio, median_seconds
from harness.workers import (
    ROOT,
    Work,
    run_script,
    running_workers,
    start_worker,
    time_workers,
    yolox_packages,
)

NUM_CLASSES, BOXES = 80, 20
SIZES = {"nano": 416, "tiny": 416, "s": 640, "m": 640}


def boxes_and_classes(batch_size: int, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes inside the image, as center, width and height, and their class ids."""
    rng = np.random.default_rng(0)
    sides = rng.uniform(16, image_size / 4, (batch_size, BOXES, 2))
    centers = sides / 2 + rng.uniform(size=sides.shape) * (image_size - sides)
    class_ids = rng.integers(0, NUM_CLASSES, (batch_size, BOXES)).astype("int32")
    return np.concatenate([centers, sides], axis=-1).astype("float32"), class_ids


def work(library: str, model_size: str, image_size: int, batch_size: int) -> Work:
    """Run a training step of YOLOX, or of ours on the current backend."""
    images = noise(batch_size, image_size)
    boxes, class_ids = boxes_and_classes(batch_size, image_size)
    if library == "yolox":
        from peers import yolox

        step, parameters = yolox.training_step(model_size, NUM_CLASSES, images, boxes, class_ids)
    else:
        step, parameters = our_step(model_size, images, boxes, class_ids)
    return step, {"parameters": parameters}


def our_step(
    model_size: str, images: np.ndarray, boxes: np.ndarray, class_ids: np.ndarray
) -> tuple[Run, int]:
    """Return a training step of our detector, and the number of its parameters."""
    import keras

    from cspdarknet import load_model

    detector = load_model(
        f"yolox_{model_size}_coco",
        load_weights=False,
        bounding_box_format="center_xywh",
        image_size=images.shape[1],
    )
    detector.compile(keras.optimizers.SGD(1e-4, momentum=0.9, nesterov=True))
    targets = {"boxes": boxes, "classes": class_ids}
    parameters = sum(int(np.prod(v.shape)) for v in detector.trainable_variables)
    return lambda: detector.train_on_batch(images, targets), parameters


def measure(case: Row, backends: list[str], packages: Path, rounds: int, seconds: float) -> Row:
    """Return a case with the milliseconds per image of all contestants, and our ratios."""
    with running_workers() as workers:
        # Both with the cache that fits them, so that neither compiles anew in each step.
        base = {"ONEDNN_PRIMITIVE_CACHE_CAPACITY": "16384"}
        peer = {**base, "PYTHONPATH": os.pathsep.join([str(packages), *sys.path[:1]])}
        workers["yolox"] = start_worker(__file__, peer, library="yolox", **case)
        for backend in backends:
            workers[backend] = start_worker(
                __file__, {**base, "KERAS_BACKEND": backend}, library="ours", **case
            )
        parameters = {worker.facts["parameters"] for worker in workers.values()}
        if len(parameters) > 1:
            sys.exit(f"The networks have different numbers of parameters: {parameters}.")
        *_, times = time_workers(workers, rounds, seconds)
    batch_size = case["batch_size"]
    milliseconds = {
        f"{name}_ms": round(1e3 * median_seconds(t) / batch_size, 1) for name, t in times.items()
    }
    ratios = {
        f"{name} / yolox": round(median_ratio(times[name], times["yolox"]), 2) for name in backends
    }
    return {**case, **milliseconds, **ratios}


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=5, seconds=2.0)
    parser.add_argument("--sizes", nargs="+", default=list(SIZES), choices=list(SIZES))
    parser.add_argument("--backends", nargs="+", default=["torch", "jax", "tensorflow"])
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--yolox-packages", type=Path, default=ROOT / ".yolox-packages")
    options = parser.parse_args()
    packages = yolox_packages(options.yolox_packages)
    text = (
        "Milliseconds per image of a training step; ratio to YOLOX's own PyTorch code: below 1, "
        f"ours is faster. {BOXES} boxes in each image, {os.cpu_count()} cores."
    )
    rows: list[Row] = []
    for size in options.sizes:
        case: Row = {
            "model_size": size,
            "image_size": SIZES[size],
            "batch_size": options.batch_size,
        }
        rows.append(measure(case, options.backends, packages, options.rounds, options.seconds))
        print(rows[-1], flush=True)
        write_results(options.out, "detector_training_speed", text, rows)


if __name__ == "__main__":
    run_script(main, work)
