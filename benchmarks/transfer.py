"""Does fine-tuning from `csp_darknet_tiny_clothing` beat training from scratch, at equal steps?

The task has nothing to do with clothing: scikit-learn's handwritten digits, few of them.

    KERAS_BACKEND=torch python benchmarks/transfer.py
"""

import argparse
import statistics
from pathlib import Path

import keras
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from cspdarknet.models import ImageClassifier

RESULTS = Path(__file__).parent / "results"
PRESET = "csp_darknet_tiny_clothing"


def digits(per_class: int, pixels: int, seed: int) -> list[np.ndarray]:
    """Return images and labels: a few of each digit to train on, the others to test on."""
    data = load_digits()
    images = [
        Image.fromarray((image * 15.9).astype("uint8")).convert("RGB").resize((pixels, pixels))
        for image in data.images
    ]
    x = np.stack([np.asarray(image) for image in images]).astype("float32")
    split = train_test_split(
        x, data.target, train_size=10 * per_class, stratify=data.target, random_state=seed
    )
    return list(split)


def accuracy(pretrained: bool, steps: int, per_class: int, pixels: int, seed: int) -> float:
    """Train for so many steps of 20 images; return the accuracy on the other digits."""
    x, x_test, y, y_test = digits(per_class, pixels, seed)
    keras.utils.set_random_seed(seed)
    model = ImageClassifier.from_preset(
        PRESET,
        load_weights=pretrained,
        num_classes=10,
        activation=None,
        batch_norm_momentum=0.9,
    )
    rate = keras.optimizers.schedules.CosineDecay(1e-3, steps)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(rate), loss)
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        batch = rng.choice(len(x), 20, replace=False)
        model.train_on_batch(x[batch], y[batch])
    logits = model.predict(x_test, batch_size=64, verbose=0)
    return float((logits.argmax(axis=1) == y_test).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", nargs="+", type=int, default=[20, 50, 100])
    parser.add_argument("--per-class", type=int, default=10)
    parser.add_argument("--pixels", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    lines = ["| steps | from the preset | from scratch |", "|---|---|---|"]
    for steps in options.steps:
        cells = []
        for pretrained in (True, False):
            found = [
                accuracy(pretrained, steps, options.per_class, options.pixels, seed)
                for seed in range(options.seeds)
            ]
            spread = f"{min(found):.1%} to {max(found):.1%}"
            cells.append(f"{statistics.mean(found):.1%} ({spread})")
        lines.append(f"| {steps} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    note = (
        f"Accuracy on the other handwritten digits after steps of 20 images, "
        f"{options.per_class} digits of each class to train on, mean of {options.seeds} seeds "
        f"(and range), {keras.backend.backend()}."
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "transfer.md").write_text("\n".join([note, "", *lines]) + "\n")


if __name__ == "__main__":
    main()
