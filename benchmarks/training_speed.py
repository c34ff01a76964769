"""How fast is a training step of Keras on PyTorch, compared with plain PyTorch?

`ImageClassifier` of size tiny in both data formats of Keras, and an equivalent network in plain
PyTorch in both memory formats, take turns in one process.

    KERAS_BACKEND=torch python benchmarks/training_speed.py
"""

import keras
import numpy as np
import torch
from harness.arguments import benchmark_parser
from harness.images import noise
from harness.results import Row, write_results
from harness.turns import Run, median_seconds, time_functions
from peers.plain_backbone import PlainBackbone, PlainClassifier

from cspdarknet import load_model

NUM_CLASSES = 10


def keras_step(images: np.ndarray, labels: np.ndarray, data_format: str) -> Run:
    """Return a training step of the Keras model."""
    model = load_model(
        "csp_darknet_tiny",
        "classification",
        num_classes=NUM_CLASSES,
        activation=None,
        data_format=data_format,
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-4), loss, jit_compile=False)
    x = images.transpose(0, 3, 1, 2).copy() if data_format == "channels_first" else images
    return lambda: model.train_on_batch(x, labels)


def plain_step(images: np.ndarray, labels: np.ndarray, memory_format: torch.memory_format) -> Run:
    """Return a training step of the plain PyTorch model."""
    backbone = PlainBackbone("tiny", focus=False, cascade=True)
    model = PlainClassifier(backbone, NUM_CLASSES).to(memory_format=memory_format)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    x = torch.from_numpy(images).permute(0, 3, 1, 2).contiguous(memory_format=memory_format)
    y = torch.from_numpy(labels)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x / 255), y).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def measure(image_size: int, batch_size: int, rounds: int) -> Row:
    """Return the row of an image size: milliseconds per image."""
    images, labels = noise(batch_size, image_size), np.arange(batch_size) % NUM_CLASSES
    steps = {
        "keras_channels_last": keras_step(images, labels, "channels_last"),
        "keras_channels_first": keras_step(images, labels, "channels_first"),
        "plain_channels_last": plain_step(images, labels, torch.channels_last),
        "plain_contiguous": plain_step(images, labels, torch.contiguous_format),
    }
    times = time_functions(steps, rounds, warm_up=2)
    milliseconds = {
        name: round(1e3 * median_seconds(t) / batch_size, 2) for name, t in times.items()
    }
    return {"image_size": image_size, **milliseconds}


def main() -> None:
    parser = benchmark_parser(__doc__, image_sizes=[96, 160, 224], rounds=9)
    parser.add_argument("--batch-size", type=int, default=16)
    options = parser.parse_args()
    text = (
        f"Milliseconds per image of a training step, size tiny, batch {options.batch_size}, AdamW, "
        f"{torch.get_num_threads()} threads."
    )
    rows: list[Row] = []
    for image_size in options.image_sizes:
        rows.append(measure(image_size, options.batch_size, options.rounds))
        print(rows[-1], flush=True)
        write_results(options.out, "training_speed", text, rows)


if __name__ == "__main__":
    main()
