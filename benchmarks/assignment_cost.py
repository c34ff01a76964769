"""Which share of a training step is the label assignment, and how much memory does it take?

`YOLOXDetector` on the current backend, images of noise with many boxes. The step and the assignment
alone take turns; the memory is the peak of fresh processes.

    KERAS_BACKEND=torch python benchmarks/assignment_cost.py
    KERAS_BACKEND=jax python benchmarks/assignment_cost.py --batch 4 --boxes 500
"""

import argparse
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from harness.results import RESULTS, write_table
from harness.turns import in_turns, in_words, limit_cores, median_ratio
from keras import ops

from cspdarknet.models import YOLOXDetector
from cspdarknet.yolox.anchors import anchor_grid, decode_boxes
from cspdarknet.yolox.simota import assign

STRIDES, CLASSES = (8, 16, 32), 80
MOST = 20.0  # percent of a step that the assignment may take


def make_boxes(batch: int, boxes: int, pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes inside the image, as center, width and height, and their classes."""
    rng = np.random.default_rng(0)
    sides = rng.uniform(8, pixels / 2, (batch, boxes, 2))
    centers = sides / 2 + rng.uniform(size=sides.shape) * (pixels - sides)
    found = np.concatenate([centers, sides], axis=-1).astype("float32")
    return found, rng.integers(0, CLASSES, (batch, boxes)).astype("int32")


def training_step(size: str, batch: int, boxes: int, pixels: int) -> Callable[[], Any]:
    """Return a training step of a detector."""
    detector = YOLOXDetector.from_preset(
        f"yolox_{size}_coco",
        load_weights=False,
        bounding_box_format="center_xywh",
        image_size=pixels,
    )
    detector.compile(keras.optimizers.SGD(1e-4, momentum=0.9))
    shape = (batch, pixels, pixels, 3)
    images = np.random.default_rng(0).integers(0, 255, shape, "uint8").astype("float32")
    found, kinds = make_boxes(batch, boxes, pixels)
    return lambda: detector.train_on_batch(images, {"boxes": found, "classes": kinds})


def assignment(batch: int, boxes: int, pixels: int) -> Callable[[], Any]:
    """Return an assignment on tensors of the shapes that a training step has."""
    rng = np.random.default_rng(0)
    grid, strides = anchor_grid(pixels, pixels, STRIDES)
    places = len(grid)

    def noise(channels: int) -> Any:
        values = rng.standard_normal((batch, places, channels), "float32")
        return ops.convert_to_tensor(values)

    raw, objectness, classes = noise(4), noise(1), noise(CLASSES)
    true_boxes, true_classes = map(ops.convert_to_tensor, make_boxes(batch, boxes, pixels))
    predicted = decode_boxes(raw, grid, strides)
    run = compiled(assign)
    tensors = (predicted, objectness, classes, true_boxes, true_classes, grid, strides)
    return lambda: [ops.convert_to_numpy(part) for part in run(*tensors)]


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function as a training step of the backend runs it."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)  # type: ignore[no-any-return]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)  # type: ignore[no-any-return]
    return function


def peak(work: str, options: argparse.Namespace) -> float:
    """Return the largest memory, in MB, of a fresh process that does some work."""
    case = [f"--{name}={getattr(options, name)}" for name in ("size", "batch", "boxes", "pixels")]
    command = [sys.executable, __file__, "--work", work, f"--threads={options.threads}", *case]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(done.stdout.split()[-1])


def do_work(work: str, options: argparse.Namespace) -> None:
    """Do some work and print the largest memory that this process has had."""
    shape = (options.batch, options.boxes, options.pixels)
    run = training_step(options.size, *shape) if work == "step" else assignment(*shape)
    if work != "tensors":
        run()
    status = Path("/proc/self/status").read_text()
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]
    print(int(kilobytes) / 1e3)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return a row of the table."""
    shape = (options.batch, options.boxes, options.pixels)
    memory = {work: peak(work, options) for work in ("tensors", "assignment", "step")}
    cases = {"step": training_step(options.size, *shape), "assignment": assignment(*shape)}
    times = in_turns(cases, options.rounds, options.threads, warm_up=1)
    share = 100 * median_ratio(times["assignment"], times["step"])
    return {
        "backend": keras.backend.backend(),
        "size": options.size,
        "pixels": options.pixels,
        "batch": options.batch,
        "boxes": options.boxes,
        "step, ms": round(statistics.median(times["step"])),
        "assignment, ms": round(statistics.median(times["assignment"])),
        "share, %": round(share, 1),
        "assignment's peak, MB": round(memory["assignment"] - memory["tensors"]),
        "step's peak, MB": round(memory["step"]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", default="nano")
    parser.add_argument("--pixels", type=int, default=640)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--boxes", type=int, default=100, help="in each image")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--note", default="", help="what else the machine did, for the results")
    parser.add_argument("--out", type=Path, default=RESULTS / "assignment.md")
    parser.add_argument("--work", choices=("tensors", "assignment", "step"), help="for itself")
    options = parser.parse_args()
    limit_cores(options.threads)
    if options.work:
        do_work(options.work, options)
        return
    row = measure(options)
    print(row)
    text = (
        f"A training step, and the label assignment alone: "
        f"{in_words(options.rounds, options.threads)}. The assignment's peak is what it adds to "
        f"its inputs in a fresh process; the step's is that of the whole process. {options.note}"
    )
    write_table(options.out, text.strip(), [row])
    if row["share, %"] > MOST:
        raise SystemExit(f"The assignment takes {row['share, %']} % of a step, above {MOST} %.")


if __name__ == "__main__":
    main()
