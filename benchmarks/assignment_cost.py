"""What does label assignment cost in a detector's training step, in time and memory?

`YOLOXDetector` on the current backend is trained on noise with many boxes. A step and the
assignment alone take turns. The memory is the peak of new processes (Linux).

    KERAS_BACKEND=torch python benchmarks/assignment_cost.py
    KERAS_BACKEND=jax python benchmarks/assignment_cost.py --batch-size 4 --boxes 500
"""

import sys
from argparse import Namespace
from typing import Any

import keras
import numpy as np
from harness.arguments import benchmark_parser
from harness.images import noise
from harness.results import Row, write_results
from harness.turns import (
    Run,
    limit_cores,
    median_ratio,
    median_seconds,
    time_functions,
    timing_note,
)
from harness.workers import Work, run_script, start_worker
from keras import ops

from cspdarknet import load_model
from cspdarknet.yolox.anchors import anchor_grid, decode_boxes
from cspdarknet.yolox.simota import assign

STRIDES, NUM_CLASSES = (8, 16, 32), 80
MAX_PERCENT = 20.0  # of a step that the assignment may take
PROCESSES = ("tensors", "assignment", "step")  # whose memory is measured


def random_boxes(batch_size: int, boxes: int, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return boxes inside the image, as center, width and height, and their class ids."""
    rng = np.random.default_rng(0)
    sides = rng.uniform(8, image_size / 2, (batch_size, boxes, 2))
    centers = sides / 2 + rng.uniform(size=sides.shape) * (image_size - sides)
    class_ids = rng.integers(0, NUM_CLASSES, (batch_size, boxes)).astype("int32")
    return np.concatenate([centers, sides], axis=-1).astype("float32"), class_ids


def training_step(model_size: str, batch_size: int, boxes: int, image_size: int) -> Run:
    """Return a training step of a detector."""
    detector = load_model(
        f"yolox_{model_size}_coco",
        load_weights=False,
        bounding_box_format="center_xywh",
        image_size=image_size,
    )
    detector.compile(keras.optimizers.SGD(1e-4, momentum=0.9))
    images = noise(batch_size, image_size)
    ground_truth, class_ids = random_boxes(batch_size, boxes, image_size)
    return lambda: detector.train_on_batch(images, {"boxes": ground_truth, "classes": class_ids})


def assignment(batch_size: int, boxes: int, image_size: int) -> Run:
    """Return an assignment on tensors of the shapes of a training step."""
    rng = np.random.default_rng(0)
    grid, strides = anchor_grid(image_size, image_size, STRIDES)

    def random(channels: int) -> Any:
        values = rng.standard_normal((batch_size, len(grid), channels), "float32")
        return ops.convert_to_tensor(values)

    raw, objectness, classes = random(4), random(1), random(NUM_CLASSES)
    ground_truth = map(ops.convert_to_tensor, random_boxes(batch_size, boxes, image_size))
    predicted = decode_boxes(raw, grid, strides)
    run = compiled(assign)
    tensors = (predicted, objectness, classes, *ground_truth, grid, strides)
    return lambda: [ops.convert_to_numpy(tensor) for tensor in run(*tensors)]


def compiled(function: Any) -> Any:
    """Return a function as a training step of the backend runs it."""
    if keras.backend.backend() == "jax":
        import jax

        return jax.jit(function)
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    return function


def work(process: str, threads: int, model_size: str, shape: list[int]) -> Work:
    """Run the code whose memory is measured; nothing is timed."""
    limit_cores(threads)
    run = training_step(model_size, *shape) if process == "step" else assignment(*shape)
    if process != "tensors":
        run()
    return lambda: None, {}


def peak_megabytes(process: str, model_size: str, shape: list[int], threads: int) -> float:
    """Return the peak memory of a new process."""
    worker = start_worker(
        __file__, process=process, model_size=model_size, shape=shape, threads=threads
    )
    worker.stop()
    return float(worker.facts["peak_megabytes"])


def measure(options: Namespace) -> Row:
    """Return the row of the table."""
    model_size, shape = options.model_size, [options.batch_size, options.boxes, options.image_size]
    memory = {
        process: peak_megabytes(process, model_size, shape, options.threads)
        for process in PROCESSES
    }
    runs = {"step": training_step(model_size, *shape), "assignment": assignment(*shape)}
    times = time_functions(runs, options.rounds, options.threads)
    return {
        "backend": keras.backend.backend(),
        "model_size": model_size,
        "image_size": options.image_size,
        "batch_size": options.batch_size,
        "boxes": options.boxes,
        "step, ms": round(1e3 * median_seconds(times["step"])),
        "assignment, ms": round(1e3 * median_seconds(times["assignment"])),
        "percent of step": round(100 * median_ratio(times["assignment"], times["step"]), 1),
        "assignment's peak, MB": round(memory["assignment"] - memory["tensors"]),
        "step's peak, MB": round(memory["step"]),
    }


def main() -> None:
    parser = benchmark_parser(__doc__, rounds=5, threads=True)
    parser.add_argument("--model-size", default="nano")
    parser.add_argument("--image-size", type=int, default=640, help="side in pixels")
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--boxes", type=int, default=100, help="number of boxes in each image")
    parser.add_argument("--note", default="", help="a note for the results")
    options = parser.parse_args()
    limit_cores(options.threads)
    row = measure(options)
    print(row)
    text = (
        "A training step, and the label assignment alone: "
        f"{timing_note(options.rounds, options.threads)}. The assignment's peak is what it adds to "
        f"its inputs in a new process; the step's is that of the whole process. {options.note}"
    )
    write_results(options.out, "assignment_cost", text, [row])
    if row["percent of step"] > MAX_PERCENT:
        sys.exit(f"The assignment must take at most {MAX_PERCENT} % of a step. Received: {row}")


if __name__ == "__main__":
    run_script(main, work)
