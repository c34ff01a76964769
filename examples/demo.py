"""The main jobs on real data: features of two photos, then a fine-tuned classifier.

The photos (china.jpg, flower.jpg) and the digits come with scikit-learn, the trained weights with
this package; nothing is downloaded. Run it with `make demo`, or `python examples/demo.py`;
`make demo PHOTO=photo.jpg` also says which garment is in a photo of yours.
"""

import argparse
import dataclasses
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
from PIL import Image
from rich.console import Console
from sklearn.datasets import load_digits, load_sample_images

from cspdarknet.data import ClassificationAugmentation, load_classification_dataset
from cspdarknet.evaluate import classify
from cspdarknet.images import read_image
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier
from cspdarknet.train import CLASSIFICATION_RECIPES, Phase, train_classifier
from cspdarknet.visualize import feature_picture

PRESET = "csp_darknet_tiny_clothing"
console = Console()

# What the fresh process of step 3 runs: load in safe mode, predict, write the predictions.
RELOAD = """
import sys, numpy as np, cspdarknet, keras
model = keras.saving.load_model(sys.argv[1], safe_mode=True)
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
"""


def extract_features(out: Path) -> list[Path]:
    """Run a backbone over the photos and draw what each pyramid level sees."""
    backbone = CSPDarkNetBackbone.from_preset(PRESET)
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


def write_digits(folder: Path, per_class: int = 60) -> None:
    """Write some handwritten digits as photos, in a folder for each class."""
    digits = load_digits()
    for label in range(10):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        for i, image in enumerate(digits.images[digits.target == label][:per_class]):
            photo = Image.fromarray((image * 15.9).astype("uint8")).resize((64, 64))
            photo.save(folder / str(label) / f"{i}.png")


def fine_tune(data: Path, run: Path, epochs: int) -> ImageClassifier:
    """Fine-tune the garment classifier to digits; return the best model."""
    recipe = dataclasses.replace(
        CLASSIFICATION_RECIPES["finetune"],
        stages=(Phase(epochs, 64),),
        learning_rate=2e-3,
        layer_decay=0.9,
        batch_norm_momentum=0.9,
        ema_decay=0.95,
        augmentation=ClassificationAugmentation(
            crop_area=(0.7, 1.0), flip=0.0, rand_augment=1, erase=0.0
        ),
    )
    train_classifier(data, run, PRESET, recipe, validation_split=0.3, check=False, console=console)
    return ImageClassifier.from_preset(run / "best")


def name_garment(photo: Path) -> str:
    """Say what garment is in a photo."""
    model = ImageClassifier.from_preset(PRESET)
    found = classify(model, [photo], batch_size=1)
    if found.errors:
        raise SystemExit(found.errors[photo])
    best = found.probabilities[0].argsort()[::-1][:3]
    names = model.class_names or ()
    return ", ".join(f"{names[i]} {found.probabilities[0][i]:.0%}" for i in best)


def same_after_reload(model: ImageClassifier, x: np.ndarray, out: Path) -> bool:
    """Save the model, load it in a fresh process, and compare the predictions."""
    files = [out / "digits.keras", out / "digits-test.npy", out / "digits-reloaded.npy"]
    model.save(files[0])
    np.save(files[1], x)
    expected = model.predict(x, verbose=0)
    environment = {**os.environ, "KERAS_BACKEND": keras.backend.backend()}
    subprocess.run([sys.executable, "-c", RELOAD, *map(str, files)], check=True, env=environment)
    return bool(np.array_equal(np.load(files[2]), expected))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo-output"))
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--photo", type=Path, help="a photo of a garment of yours")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    run = options.out / "digits-run"
    shutil.rmtree(run, ignore_errors=True)  # show a whole training each time
    start = time.perf_counter()

    console.print(f"Backend: {keras.backend.backend()}, Keras {keras.__version__}")
    if options.photo is not None:
        console.print(f"[bold]Your photo:[/] {name_garment(options.photo)}")
    console.print(f"[bold]1. Features of two photos[/] ({PRESET})")
    pictures = extract_features(options.out)
    console.print("[bold]2. Fine-tune the classifier of garments to handwritten digits[/]")
    write_digits(options.out / "digits")
    model = fine_tune(options.out / "digits", run, options.epochs)
    accuracy = json.loads((run / "evaluation.json").read_text())["accuracy"]
    console.print("[bold]3. Save, reload in a fresh process, predict[/]")
    held_out = load_classification_dataset(options.out / "digits", 0.3).validation
    x = np.stack([read_image(path) for path in held_out.paths[:32]]).astype("float32")
    same = same_after_reload(model, x, options.out)
    console.print(f"  held-out accuracy: {accuracy:.2%} of {len(held_out)} digits")
    console.print(f"  predictions after the reload: {'equal' if same else 'DIFFERENT'}")
    console.print(f"Done in {time.perf_counter() - start:.0f} s. Look at:")
    for picture in [*pictures, run / "report.html"]:
        console.print(f"  {picture.resolve()}", soft_wrap=True)
    if options.photo is None:
        console.print("What garment is in your photo? make demo PHOTO=photo.jpg")
    if not same:
        sys.exit(1)


if __name__ == "__main__":
    main()
