"""How fast is the backbone on each Keras backend, compared with KerasCV's on the same backend?

Each library is a process of its own, and the two take turns. Compare the ratio.

    python benchmarks/backbone_speed.py                     # three backends, size tiny
    python benchmarks/backbone_speed.py --model-sizes tiny l --backends torch --rounds 9

KerasCV and its TensorFlow get a virtual environment of their own, created on first use.
"""

import itertools
import sys
from pathlib import Path

from harness.arguments import benchmark_parser
from harness.images import noise
from harness.results import Row, write_results
from harness.turns import median_ratio, median_seconds
from harness.workers import (
    Work,
    kerascv_python,
    run_script,
    running_workers,
    start_worker,
    time_workers,
)
from peers.kerascv import Architecture, architecture, build_backbone

CASE = ("backend", "model_size", "image_size", "batch_size", "work")


def work(
    library: str, architecture: Architecture, image_size: int, batch_size: int, train: bool
) -> Work:
    """Run a forward pass or a training step of a library's backbone."""
    import keras
    import numpy as np

    images = noise(batch_size, image_size)
    backbone = build_backbone(architecture, library)
    if not train:
        return lambda: backbone.predict_on_batch(images), {}
    pooled = keras.layers.GlobalAveragePooling2D()(backbone.output)
    model = keras.Model(backbone.inputs, keras.layers.Dense(10)(pooled))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(1e-3, momentum=0.9), loss)
    labels = np.arange(batch_size) % 10
    return lambda: model.train_on_batch(images, labels), {}


def measure(kerascv: Path, case: Row, rounds: int, seconds: float) -> Row:
    """Return a case with the median times of both libraries and the median ratio."""
    with running_workers() as workers:
        for name, library, python in (
            ("ours", "cspdarknet", sys.executable),
            ("kerascv", "keras_cv", kerascv),
        ):
            workers[name] = start_worker(
                __file__,
                {"KERAS_BACKEND": case["backend"]},
                python,
                library=library,
                architecture=architecture(case["model_size"]),
                image_size=case["image_size"],
                batch_size=case["batch_size"],
                train=case["work"] == "train",
            )
        *_, times = time_workers(workers, rounds, seconds)
    milliseconds = {
        f"{name}_ms": round(1e3 * median_seconds(turns), 2) for name, turns in times.items()
    }
    ratio = round(median_ratio(times["kerascv"], times["ours"]), 2)
    return {**case, **milliseconds, "ratio": ratio}


def main() -> None:
    parser = benchmark_parser(
        __doc__,
        model_sizes=["tiny"],
        image_sizes=[224],
        batch_sizes=[1, 8],
        rounds=7,
        seconds=1.0,
        kerascv=True,
    )
    parser.add_argument("--backends", nargs="+", default=["jax", "torch", "tensorflow"])
    parser.add_argument("--work", nargs="+", default=["forward", "train"])
    options = parser.parse_args()
    kerascv = kerascv_python(options.kerascv_venv)
    text = "ratio: time of KerasCV / our time; above 1, ours is faster."
    rows: list[Row] = []
    for values in itertools.product(
        options.backends,
        options.model_sizes,
        options.image_sizes,
        options.batch_sizes,
        options.work,
    ):
        case = dict(zip(CASE, values, strict=True))
        rows.append(measure(kerascv, case, options.rounds, options.seconds))
        print(rows[-1], flush=True)
        write_results(options.out, "backbone_speed", text, rows)


if __name__ == "__main__":
    run_script(main, work)
