"""Is fine-tuning from a bundled preset better than training from scratch, at equal steps?

The task has nothing to do with clothing: a few of scikit-learn's handwritten digits.

    KERAS_BACKEND=torch python benchmarks/transfer.py
"""

import statistics
from argparse import Namespace

import keras
import numpy as np
from harness.arguments import benchmark_parser
from harness.results import Row, write_results
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from cspdarknet import load_model

PRESET = "csp_darknet_tiny_clothing"
BATCH_SIZE = 20


def digits(per_class: int, image_size: int, seed: int) -> list[np.ndarray]:
    """Return training images, test images, training labels and test labels.

    A few of each digit are for training, all others for the test.
    """
    data = load_digits()
    images = [
        Image.fromarray((image * 15.9).astype("uint8")).convert("RGB").resize((image_size,) * 2)
        for image in data.images
    ]
    x = np.stack([np.asarray(image) for image in images]).astype("float32")
    split = train_test_split(
        x, data.target, train_size=10 * per_class, stratify=data.target, random_state=seed
    )
    return list(split)


def accuracy(load_weights: bool, steps: int, seed: int, options: Namespace) -> float:
    """Train a classifier and return its accuracy on the test images."""
    x, x_test, y, y_test = digits(options.per_class, options.image_size, seed)
    keras.utils.set_random_seed(seed)
    model = load_model(
        PRESET,
        load_weights=load_weights,
        num_classes=10,
        activation=None,
        batch_norm_momentum=0.9,
    )
    learning_rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(learning_rate), loss)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        batch = rng.choice(len(x), BATCH_SIZE, replace=False)
        model.train_on_batch(x[batch], y[batch])
    logits = model.predict(x_test, batch_size=64, verbose=0)
    return float((logits.argmax(axis=1) == y_test).mean())


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--steps", nargs="+", type=int, default=[20, 50, 100])
    parser.add_argument("--per-class", type=int, default=10, help="training images of each digit")
    parser.add_argument("--image-size", type=int, default=64, help="side in pixels")
    parser.add_argument("--seeds", type=int, default=3, help="number of trainings")
    options = parser.parse_args()
    text = (
        f"Accuracy on the other handwritten digits after steps of {BATCH_SIZE} images, "
        f"{options.per_class} digits of each class to train on, mean of {options.seeds} seeds "
        f"(and range), {keras.backend.backend()}."
    )
    rows: list[Row] = []
    for steps in options.steps:
        row: Row = {"steps": steps}
        for name, load_weights in (("from the preset", True), ("from scratch", False)):
            results = [
                accuracy(load_weights, steps, seed, options) for seed in range(options.seeds)
            ]
            mean = statistics.mean(results)
            row[name] = f"{mean:.1%} ({min(results):.1%} to {max(results):.1%})"
        rows.append(row)
        print(row, flush=True)
        write_results(options.out, "transfer", text, rows)


if __name__ == "__main__":
    main()
