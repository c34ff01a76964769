"""What does Keras cost on PyTorch, and which layout is faster there? Time of a training step.

`ImageClassifier` of size tiny with Keras' channels last and channels first, and the same network in
plain PyTorch in both memory formats, in turns within one process.

    KERAS_BACKEND=torch python benchmarks/training_speed.py
"""

import argparse
import csv
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import torch
from peers.plain_pytorch import Classifier

from cspdarknet.models import ImageClassifier

RESULTS = Path(__file__).parent / "results"


def keras_step(x: np.ndarray, y: np.ndarray, data_format: str) -> Callable[[], object]:
    """Return a training step of the Keras model."""
    model = ImageClassifier.from_preset(
        "csp_darknet_tiny", num_classes=10, activation=None, data_format=data_format
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-4), loss, jit_compile=False)
    images = x.transpose(0, 3, 1, 2).copy() if data_format == "channels_first" else x
    return lambda: model.train_on_batch(images, y)


def plain_step(x: np.ndarray, y: np.ndarray, layout: torch.memory_format) -> Callable[[], object]:
    """Return a training step of the plain PyTorch model."""
    model = Classifier().to(memory_format=layout)
    optimizer = torch.optim.AdamW(model.parameters(), 1e-4)
    images = torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(memory_format=layout)
    labels = torch.from_numpy(y)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()

    return step


def measure(pixels: int, batch: int, rounds: int) -> dict[str, float]:
    """Return the median time of a step of each, in milliseconds per image."""
    x = np.random.default_rng(0).uniform(0, 255, (batch, pixels, pixels, 3)).astype("float32")
    y = np.arange(batch) % 10
    steps = {
        "keras_channels_last": keras_step(x, y, "channels_last"),
        "keras_channels_first": keras_step(x, y, "channels_first"),
        "plain_channels_last": plain_step(x, y, torch.channels_last),
        "plain_contiguous": plain_step(x, y, torch.contiguous_format),
    }
    times: dict[str, list[float]] = {name: [] for name in steps}
    for i in range(rounds + 2):  # two to warm up
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if i >= 2:
                times[name].append(time.perf_counter() - start)
    return {name: round(1e3 * statistics.median(t) / batch, 2) for name, t in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pixels", nargs="+", type=int, default=[96, 160, 224])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    rows = []
    for pixels in options.pixels:
        rows.append({"pixels": pixels, **measure(pixels, options.batch, options.rounds)})
        print(rows[-1], flush=True)
    RESULTS.mkdir(exist_ok=True)
    with (RESULTS / "training_speed.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    lines = [f"| {' | '.join(rows[0])} |", f"|{'---|' * len(rows[0])}"]
    lines += [f"| {' | '.join(map(str, row.values()))} |" for row in rows]
    threads = torch.get_num_threads()
    note = (
        f"Milliseconds per image of a training step, size tiny, batch {options.batch}, AdamW. "
        f"{threads} threads of {os.cpu_count()} cores, {platform.machine()}, torch "
        f"{torch.__version__}, Keras {keras.__version__}."
    )
    (RESULTS / "training_speed.md").write_text("\n".join([note, "", *lines]) + "\n")


if __name__ == "__main__":
    main()
