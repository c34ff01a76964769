"""Three tasks on real data: feature extraction, fine-tuning of a classifier, saving and loading.

The two photographs (china.jpg, flower.jpg) and the handwritten digits are part of scikit-learn, and
the trained weights are part of this package: nothing is downloaded. Run `make demo`, or
`python examples/demo.py`. `make demo IMAGE=photo.jpg` also classifies the garment in an image of
yours.
"""

import argparse
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

import cspdarknet
from cspdarknet.data import ClassificationDataset, load_classification_dataset
from cspdarknet.evaluate import evaluate_classifier
from cspdarknet.images import ImageError, read_image
from cspdarknet.train import CLASSIFICATION_RECIPES, Phase, customize, train_classifier
from cspdarknet.visualize import feature_picture

PRESET = "csp_darknet_tiny_clothing"
VALIDATION_SPLIT = 0.3
console = Console()

# The program of the new process in step 3: load the model in safe mode and write its predictions.
RELOAD = """
import sys, numpy as np, cspdarknet, keras
model = keras.saving.load_model(sys.argv[1], safe_mode=True)
np.save(sys.argv[3], model.predict(np.load(sys.argv[2]), verbose=0))
"""


def classify_garment(image: Path) -> str:
    """Return the three most probable garments in an image."""
    predictor = cspdarknet.Predictor(PRESET)
    try:
        probabilities = predictor(image)
    except ImageError as error:
        raise SystemExit(str(error)) from error
    best = probabilities.argsort()[::-1][:3]
    return ", ".join(f"{predictor.class_names[i]} {probabilities[i]:.0%}" for i in best)


def extract_features(out: Path) -> list[Path]:
    """Run a backbone on the two photographs and draw the feature maps of each pyramid level."""
    predictor = cspdarknet.Predictor(PRESET, levels=["P2", "P3", "P4", "P5"])
    samples = load_sample_images()
    pictures = []
    for name, image in zip(samples.filenames, samples.images, strict=True):
        features = predictor(image)
        shapes = ", ".join(f"{level} {maps.shape}" for level, maps in features.items())
        console.print(f"  {Path(name).name}: {shapes}", soft_wrap=True)
        picture = out / f"{Path(name).stem}-features.png"
        feature_picture(image, features).save(picture)
        pictures.append(picture)
    return pictures


def write_digits(folder: Path, per_class: int = 60) -> None:
    """Write handwritten digits as image files, in a folder for each class."""
    digits = load_digits()
    for label in range(10):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
        for i, pixels in enumerate(digits.images[digits.target == label][:per_class]):
            image = Image.fromarray((pixels * 15.9).astype("uint8")).resize((64, 64))
            image.save(folder / str(label) / f"{i}.png")


def fine_tune(data: Path, run: Path, epochs: int) -> None:
    """Fine-tune the classifier of garments on digits; the run folder gets the best model."""
    recipe = customize(
        CLASSIFICATION_RECIPES["finetune"],
        phases=(Phase(epochs, image_size=64),),
        learning_rate=2e-3,
        layer_decay=0.9,
        batch_norm_momentum=0.9,
        ema_decay=0.95,
        crop_area=(0.7, 1.0),
        flip=0.0,
        rand_augment=1,
        erase=0.0,
    )
    train_classifier(
        data,
        run,
        PRESET,
        recipe,
        validation_split=VALIDATION_SPLIT,
        check=False,
        console=console,
    )


def same_after_reload(model: keras.Model, dataset: ClassificationDataset, out: Path) -> bool:
    """Save the model, load it in a new process, and compare the predictions."""
    saved, inputs, outputs = (
        out / name for name in ("digits.keras", "digits-images.npy", "digits-predictions.npy")
    )
    images = np.stack([read_image(path) for path in dataset.paths[:32]]).astype("float32")
    expected = model.predict(images, verbose=0)
    model.save(saved)
    np.save(inputs, images)
    command = [sys.executable, "-c", RELOAD, str(saved), str(inputs), str(outputs)]
    environment = {**os.environ, "KERAS_BACKEND": keras.backend.backend()}
    subprocess.run(command, check=True, env=environment)
    return bool(np.array_equal(np.load(outputs), expected))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="output folder")
    parser.add_argument("--epochs", type=int, default=8, help="number of training epochs")
    parser.add_argument("--image", type=Path, help="an image of a garment, to be classified")
    options = parser.parse_args()
    digits, run = options.out / "digits", options.out / "digits-run"
    options.out.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(run, ignore_errors=True)  # otherwise a finished training is not repeated
    start = time.perf_counter()

    console.print(f"Backend: {keras.backend.backend()}, Keras {keras.__version__}")
    if options.image is not None:
        console.print(f"[bold]Your image:[/] {classify_garment(options.image)}")

    console.print(f"[bold]1. Feature maps of two photographs[/] ({PRESET})")
    pictures = extract_features(options.out)

    console.print("[bold]2. Fine-tune the classifier of garments on handwritten digits[/]")
    write_digits(digits)
    fine_tune(digits, run, options.epochs)
    model = cspdarknet.load_model(run)
    validation = load_classification_dataset(digits, VALIDATION_SPLIT).validation
    accuracy = evaluate_classifier(model, validation).accuracy
    console.print(f"  validation accuracy: {accuracy:.2%} of {len(validation)} digits")

    console.print("[bold]3. Save, load in a new process, predict[/]")
    same = same_after_reload(model, validation, options.out)
    console.print(f"  predictions after loading: {'equal' if same else 'DIFFERENT'}")

    console.print(f"Done in {time.perf_counter() - start:.0f} s. Results:")
    for path in [*pictures, run / "report.html"]:
        console.print(f"  {path.resolve()}", soft_wrap=True)
    if options.image is None:
        console.print("To classify a garment in an image of yours: make demo IMAGE=photo.jpg")
    if not same:
        sys.exit(1)


if __name__ == "__main__":
    main()
