"""The main job on real data: features of two photos, then a classifier for handwritten digits.

The photos (china.jpg, flower.jpg) and the digits come with scikit-learn; nothing is downloaded.
Run it with `make demo`, or `python examples/demo.py`.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from sklearn.datasets import load_digits, load_sample_images
from sklearn.model_selection import train_test_split

import cspdarknet
from cspdarknet.visualize import feature_picture

console = Console()

# What the fresh process of step 3 runs: load in safe mode, predict, write the predictions.
RELOAD = """
import sys, numpy as np, cspdarknet, keras
model = keras.saving.load_model(sys.argv[1], safe_mode=True)
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
"""


def extract_features(out: Path) -> list[Path]:
    """Run a backbone over the photos and draw what each pyramid level sees."""
    backbone = cspdarknet.models.CSPDarkNetBackbone.from_preset("csp_darknet_tiny")
    pyramid = backbone.feature_pyramid(["P2", "P3", "P4", "P5"])
    photos = load_sample_images()
    pictures = []
    for name, photo in zip(photos.filenames, photos.images, strict=True):
        maps = pyramid.predict_on_batch(photo[None].astype("float32"))
        shapes = ", ".join(f"{level} {value.shape[1:]}" for level, value in maps.items())
        console.print(f"  {Path(name).name}: {shapes}", soft_wrap=True)
        picture = out / f"{Path(name).stem}-features.png"
        feature_picture(photo, {level: np.asarray(v[0]) for level, v in maps.items()}).save(picture)
        pictures.append(picture)
    return pictures


class ProgressBar(keras.callbacks.Callback):
    """One bar for the whole training."""

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Show the bar."""
        self.bar = Progress(
            TextColumn("  {task.description}"), BarColumn(), TimeRemainingColumn(), console=console
        )
        self.bar.start()
        self.task = self.bar.add_task("training", total=self.params["epochs"])

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Move the bar on by an epoch."""
        figures = logs or {}
        text = f"loss {figures['loss']:.3f}  accuracy {figures['accuracy']:.3f}"
        self.bar.update(self.task, advance=1, description=text)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:  # noqa: ARG002
        """Leave the finished bar on the screen."""
        self.bar.stop()


def with_shifted_copies(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Add each image moved by two pixels up, down, left and right (its border is blank)."""
    moves = [(0, 0), (-2, 0), (2, 0), (0, -2), (0, 2)]
    return np.concatenate([np.roll(x, move, (1, 2)) for move in moves]), np.tile(y, len(moves))


def train_digits(epochs: int) -> tuple[keras.Model, np.ndarray, np.ndarray]:
    """Train a small CSPDarkNet on the digits; return it with the held-out images and labels."""
    digits = load_digits()
    images = np.repeat(np.repeat(digits.images, 2, axis=1), 2, axis=2)[..., None] / 16
    x, x_test, y, y_test = train_test_split(
        images.astype("float32"),
        digits.target,
        test_size=360,
        stratify=digits.target,
        random_state=0,
    )
    x, y = with_shifted_copies(x, y)
    backbone = cspdarknet.models.CSPDarkNetBackbone(
        stackwise_channels=[24, 48],
        stackwise_depth=[1, 1],
        include_rescaling=False,
        input_shape=(16, 16, 1),
        batch_norm_momentum=0.9,  # a short training: the averages must keep up
    )
    model = keras.Sequential(
        [
            keras.Input((16, 16, 1)),
            backbone,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(10, activation="softmax"),
        ]
    )
    batch = 64
    steps = epochs * -(-len(x) // batch)
    model.compile(
        keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(5e-3, steps)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    model.fit(x, y, batch_size=batch, epochs=epochs, verbose=0, callbacks=[ProgressBar()])
    return model, x_test, y_test


def same_after_reload(model: keras.Model, x: np.ndarray, out: Path) -> tuple[bool, np.ndarray]:
    """Save the model, load it in a fresh process, and compare the predictions."""
    files = [out / "digits.keras", out / "digits-test.npy", out / "digits-reloaded.npy"]
    model.save(files[0])
    np.save(files[1], x)
    expected = model.predict(x, verbose=0)
    environment = {**os.environ, "KERAS_BACKEND": keras.backend.backend()}
    subprocess.run([sys.executable, "-c", RELOAD, *map(str, files)], check=True, env=environment)
    return bool(np.array_equal(np.load(files[2]), expected)), expected


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo-output"))
    parser.add_argument("--epochs", type=int, default=6)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    keras.utils.set_random_seed(0)
    start = time.perf_counter()

    console.print(f"Backend: {keras.backend.backend()}, Keras {keras.__version__}")
    console.print("[bold]1. Features of two photos[/] (random weights)")
    pictures = extract_features(options.out)
    console.print("[bold]2. A classifier for handwritten digits, from scratch[/]")
    model, x_test, y_test = train_digits(options.epochs)
    console.print("[bold]3. Save, reload in a fresh process, predict[/]")
    same, probabilities = same_after_reload(model, x_test, options.out)
    accuracy = float((probabilities.argmax(axis=1) == y_test).mean())
    console.print(f"  held-out accuracy: {accuracy:.2%} of {len(y_test)} digits")
    console.print(f"  predictions after the reload: {'equal' if same else 'DIFFERENT'}")
    console.print(f"Done in {time.perf_counter() - start:.0f} s. Look at:")
    for picture in pictures:
        console.print(f"  {picture.resolve()}", soft_wrap=True)
    if not same:
        sys.exit(1)


if __name__ == "__main__":
    main()
