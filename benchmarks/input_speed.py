"""Is training waiting for photos? Images per second of the input pipeline and of the training.

JPEG photos of 640 x 480 pixels are made in a temporary folder. With it, the cost of RandAugment in
Pillow, as it is used here, beside that of Keras' layer on the same backend.

    KERAS_BACKEND=torch python benchmarks/input_speed.py
"""

import argparse
import tempfile
import time
from pathlib import Path

import keras
import numpy as np
from PIL import Image, ImageFilter

from cspdarknet.data import (
    ClassificationAugmentation,
    ClassificationSource,
    load_classification_dataset,
    training_batches,
)
from cspdarknet.data.classification.transforms import rand_augment
from cspdarknet.models import ImageClassifier

RESULTS = Path(__file__).parent / "results"


def make_photos(folder: Path, count: int = 64) -> None:
    """Write photos with the detail of real ones: blurred noise."""
    rng = np.random.default_rng(0)
    for i in range(count):
        noise = Image.fromarray(rng.integers(0, 255, (480, 640, 3), "uint8"))
        path = folder / f"class{i % 2}" / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise.filter(ImageFilter.GaussianBlur(2)).save(path, quality=90)


def pipeline_rate(source: ClassificationSource, pixels: int, steps: int = 12) -> float:
    """Return images per second of the pipeline alone."""
    batches = training_batches(source, pixels, 0, steps + 1)
    next(batches)
    start = time.perf_counter()
    count = sum(len(images) for images, *_ in batches)
    return count / (time.perf_counter() - start)


def training_rates(
    source: ClassificationSource, pixels: int, steps: int = 10
) -> tuple[float, float]:
    """Return images per second of training on one batch again and again, and on the pipeline."""
    model = ImageClassifier.from_preset("csp_darknet_tiny", num_classes=2, activation=None)
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.AdamW(1e-4), loss)
    batch = next(training_batches(source, pixels, 0, 1))
    for _ in range(2):
        model.train_on_batch(*batch)
    rates = []
    for batches in ([batch] * steps, training_batches(source, pixels, 0, steps)):
        start = time.perf_counter()
        for images in batches:
            model.train_on_batch(*images)
        rates.append(steps * source.batch_size / (time.perf_counter() - start))
    return rates[0], rates[1]


def augmentation_times(pixels: int, batch: int = 16) -> tuple[float, float]:
    """Return milliseconds per image of RandAugment here, and of Keras' layer."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 255, (batch, pixels, pixels, 3), "uint8")
    start = time.perf_counter()
    for pixels_of_one in images:
        rand_augment(Image.fromarray(pixels_of_one), 2, 0.4, rng)
    ours = time.perf_counter() - start
    layer = keras.layers.RandAugment(num_ops=2, factor=0.4)
    layer(images, training=True)
    start = time.perf_counter()
    keras.ops.convert_to_numpy(layer(images, training=True))
    return 1e3 * ours / batch, 1e3 * (time.perf_counter() - start) / batch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pixels", nargs="+", type=int, default=[96, 160, 224])
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    columns = ["pixels", "pipeline alone", "training alone", "training on the pipeline"]
    columns += ["RandAugment here, ms", "Keras' RandAugment, ms"]
    lines = [f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    with tempfile.TemporaryDirectory() as folder:
        make_photos(Path(folder))
        photos = load_classification_dataset(folder).train
        source = ClassificationSource(
            photos, ClassificationAugmentation(mix=0.5), 16, workers=options.workers
        )
        for pixels in options.pixels:
            figures = [pipeline_rate(source, pixels), *training_rates(source, pixels)]
            figures += augmentation_times(pixels)
            lines.append(f"| {pixels} | {' | '.join(f'{figure:.1f}' for figure in figures)} |")
            print(lines[-1], flush=True)
    backend = keras.backend.backend()
    note = f"Images per second on {backend}, size tiny, batch 16, JPEG photos of 640 x 480 pixels."
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"input_speed_{backend}.md").write_text("\n".join([note, "", *lines]) + "\n")


if __name__ == "__main__":
    main()
