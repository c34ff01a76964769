"""Draws the pictures of models in the guide to the workbench: explained, compared, inspected.

    pip install 'cspdarknet[torch,openvino,analysis]' scikit-image
    python examples/explain_images.py

`workbench_images.py` names the photographs, of whose pieces the classes are learned: a linear head
on the mean of the last level, fitted by logistic regression.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data
from sklearn.linear_model import LogisticRegression
from workbench_images import OUT, write_pieces

from cspdarknet import ImageClassifier, load_model
from cspdarknet.analysis import Explainer, compare_models, embed, inspect_model
from cspdarknet.data import ClassificationDataset, load_classification_split
from cspdarknet.visualize import save_picture

MODELS = ("csp_darknet_tiny_clothing", "yolox_nano_bccd")
SIZE = 160
QUARTERS = ("chelsea/064_064", "coffee/064_256", "rocket/128_256", "flower/192_256")
EXPLAINED = ("chelsea", "coffee")
SHOTS = 5
HEIGHT = 574  # of two rows of differences


def fitted(model: str, pieces: Path, names: tuple[str, ...], shots: int | None) -> ImageClassifier:
    """Return a classifier of pieces: a backbone with a head of logistic regression."""
    vectors = embed(pieces, model, image_size=SIZE)
    labels = np.array([names.index(key.split("/")[0]) for key in vectors.keys])
    rng, rows = np.random.default_rng(0), np.arange(len(labels))
    if shots is not None:
        rows = np.concatenate([rng.permutation(rows[labels == i])[:shots] for i in set(labels)])
    head: Any = LogisticRegression(C=1.0, max_iter=2000)
    head.fit(vectors.vectors[rows], labels[rows])
    backbone = load_model(model, "features")
    classifier = ImageClassifier(backbone, len(names), class_names=names, image_size=SIZE)
    classifier.get_layer("predictions").set_weights([head.coef_.T, head.intercept_])
    return classifier


def quarters(pieces: Path) -> Image.Image:
    """Return an image of four pieces."""
    image = Image.new("RGB", (256, 256))
    for i, name in enumerate(QUARTERS):
        image.paste(Image.open(pieces / f"{name}.jpg"), (128 * (i % 2), 128 * (i // 2)))
    return image


def draw_explanations(classifier: ImageClassifier, image: Image.Image) -> None:
    explainer = Explainer(classifier, "grad-cam", image_size=256)
    pictures = [explainer(image, name).picture() for name in EXPLAINED]
    width, height = pictures[0].size
    sheet = Image.new("RGB", (width, len(pictures) * height), "white")
    for i, picture in enumerate(pictures):
        sheet.paste(picture, (0, height * i))
    save_picture(sheet, OUT / "explanations.jpg")


def draw_differences(models: list[ImageClassifier], data: ClassificationDataset) -> None:
    comparison = compare_models(models[0], models[1], data)
    print(comparison.metrics, comparison.contingency, comparison.agreement)
    sheet = comparison.sheet()
    assert sheet is not None
    save_picture(
        sheet.crop((0, 0, sheet.width, min(sheet.height, HEIGHT))), OUT / "differences.jpg"
    )


def main() -> None:
    with tempfile.TemporaryDirectory() as temporary:
        pieces = Path(temporary) / "pieces"
        write_pieces(pieces)
        names = tuple(sorted(path.name for path in pieces.iterdir()))
        draw_explanations(fitted(MODELS[0], pieces, names, None), quarters(pieces))
        models = [fitted(model, pieces, names, SHOTS) for model in MODELS]
        draw_differences(models, load_classification_split(pieces, names).dataset)
    inspection = inspect_model(MODELS[0], data.chelsea())
    save_picture(inspection.picture(), OUT / "receptive_fields.jpg")
    for item in inspection.levels:
        print(item.level, item.features.shape, item.theoretical, item.effective)


if __name__ == "__main__":
    main()
