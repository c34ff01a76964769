"""Does training wait for images?

Images per second of the input pipeline alone, of training alone, and of both together. JPEG files
of 640 x 480 pixels are made in a temporary folder.

    KERAS_BACKEND=torch python benchmarks/input_speed.py
"""

import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import keras
from harness.arguments import benchmark_parser
from harness.images import write_photographs
from harness.results import Row, write_results

from cspdarknet import load_model
from cspdarknet.data import (
    ClassificationAugmentation,
    ClassificationSource,
    load_classification_dataset,
    training_batches,
)

BATCH_SIZE = 16
WARM_UP, STEPS = 2, 10


def speed(batches: Iterable[Any], train: Any) -> float:
    """Return the images per second of a function that takes batches."""
    count, start = 0, 0.0
    for i, batch in enumerate(batches):
        if i == WARM_UP:
            start = time.perf_counter()
        train(*batch)
        count += len(batch[0]) if i >= WARM_UP else 0
    return count / (time.perf_counter() - start)


def measure(source: ClassificationSource, image_size: int) -> Row:
    """Return the row of an image size."""
    model = load_model("csp_darknet_tiny", "classification", num_classes=2, activation=None)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-4), loss)

    def batches() -> Iterable[Any]:
        return training_batches(source, image_size, 0, WARM_UP + STEPS)

    one_batch = [next(iter(batches()))] * (WARM_UP + STEPS)
    return {
        "image_size": image_size,
        "pipeline alone": round(speed(batches(), lambda *_: None), 1),
        "training alone": round(speed(one_batch, model.train_on_batch), 1),
        "training with the pipeline": round(speed(batches(), model.train_on_batch), 1),
    }


def main() -> None:
    parser = benchmark_parser(__doc__, image_sizes=[96, 160, 224])
    parser.add_argument("--workers", type=int, default=2, help="threads of the pipeline")
    options = parser.parse_args()
    backend = keras.backend.backend()
    text = (
        f"Images per second on {backend}, size tiny, batch {BATCH_SIZE}, JPEG images of 640 x 480 "
        "pixels."
    )
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        write_photographs(Path(folder), 64, classes=2)
        source = ClassificationSource(
            load_classification_dataset(folder).train,
            ClassificationAugmentation(mix=0.5),
            BATCH_SIZE,
            workers=options.workers,
        )
        for image_size in options.image_sizes:
            rows.append(measure(source, image_size))
            print(rows[-1], flush=True)
            write_results(options.out, f"input_speed_{backend}", text, rows)


if __name__ == "__main__":
    main()
