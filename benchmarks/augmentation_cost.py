"""What does RandAugment cost, compared with Keras's layer?

Ours works on one image after the other, in Pillow. The layer works on a batch, on the current
backend.

    KERAS_BACKEND=torch python benchmarks/augmentation_cost.py
"""

import keras
import numpy as np
from harness.arguments import benchmark_parser
from harness.images import noise
from harness.results import Row, write_results
from harness.turns import median_seconds, time_functions
from PIL import Image

from cspdarknet.data.classification.transforms import rand_augment

BATCH_SIZE = 16
OPERATIONS, MAGNITUDE = 2, 0.4


def measure(image_size: int, rounds: int) -> Row:
    """Return the row of an image size: milliseconds per image."""
    images = noise(BATCH_SIZE, image_size).astype("uint8")
    rng = np.random.default_rng(0)
    layer = keras.layers.RandAugment(num_ops=OPERATIONS, factor=MAGNITUDE)

    def ours() -> None:
        for image in images:
            rand_augment(Image.fromarray(image), OPERATIONS, MAGNITUDE, rng)

    runs = {
        "ours, ms": ours,
        "Keras, ms": lambda: keras.ops.convert_to_numpy(layer(images, training=True)),
    }
    times = time_functions(runs, rounds)
    milliseconds = {
        name: round(1e3 * median_seconds(t) / BATCH_SIZE, 1) for name, t in times.items()
    }
    return {"image_size": image_size, **milliseconds}


def main() -> None:
    options = benchmark_parser(__doc__, image_sizes=[96, 160, 224], rounds=5).parse_args()
    backend = keras.backend.backend()
    text = f"Milliseconds per image of RandAugment, batch {BATCH_SIZE}; Keras's layer on {backend}."
    rows: list[Row] = []
    for image_size in options.image_sizes:
        rows.append(measure(image_size, options.rounds))
        print(rows[-1], flush=True)
        write_results(options.out, f"augmentation_cost_{backend}", text, rows)


if __name__ == "__main__":
    main()
