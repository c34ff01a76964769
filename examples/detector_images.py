"""Draws the pictures of the guide to detectors: pyramid levels and rectangles.

    pip install 'cspdarknet[torch,train,detect]'
    python examples/detector_images.py

The images are drawings of blood smears. The bundled detector detects in a wide one. For the other
picture it is trained on drawings of very small cells for some minutes, once with the levels P3 to
P5 and once with P2, too.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from rich.console import Console
from tiles_image import PLATELET, RED, WHITE, Smear

import cspdarknet
from cspdarknet.detections import DetectionOptions
from cspdarknet.train import DETECTION_RECIPES, customize, train_detector
from cspdarknet.yolox.letterbox import letterbox

OUT = Path(__file__).resolve().parents[1] / "docs" / "images"
SQUARE, RECTANGLE = 416, (288, 576)  # of about as many pixels
SIDE, SHOWN = 128, 384  # pixels of a drawing of small cells, and in the picture
TRAINED, VALIDATED, EPOCHS = 64, 16, 12
LEVELS = (("P3", "P4", "P5"), ("P2", "P3", "P4", "P5"))
GAP, TEXT_HEIGHT = 8, 18
Sample = tuple[np.ndarray, dict[str, list[Any]]]


def draw_rectangles() -> None:
    """Draw what the bundled detector gets of a wide image, and detects, in a square and not."""
    smear = Smear(5, 1760, 880)
    smear.add(12, 85, WHITE, 0)
    smear.add(800, 42, RED, 0.45)
    smear.add(60, 14, PLATELET, 0)
    image = np.asarray(smear.image())
    pictures = []
    for size in (SQUARE, RECTANGLE):
        options = DetectionOptions(max_detections=300, image_size=size)
        detections = cspdarknet.Predictor("yolox_nano_bccd", options=options)(image)
        drawn = np.asarray(detections.plot(image))
        text = f"{size if isinstance(size, int) else '{}x{}'.format(*size)}: {len(detections)}"
        print(text, "of", len(smear.cells))
        pictures.append(captioned(Image.fromarray(letterbox(drawn, size)[0]), f"{text} cells"))
    side_by_side(pictures).save(OUT / "rectangles.jpg", quality=88)


def draw_levels() -> None:
    """Draw what detectors with and without level P2 find after the same training."""
    samples = [small_cells(seed) for seed in range(TRAINED + VALIDATED)]
    data = {"train": samples[:TRAINED], "validation": samples[TRAINED:]}
    image, target = samples[-1]
    pictures = []
    for levels in LEVELS:
        recipe = customize(
            DETECTION_RECIPES["finetune"],
            epochs=EPOCHS,
            image_size=SIDE,
            batch_size=8,
            evaluate_every=EPOCHS,
            levels=levels,
        )
        with tempfile.TemporaryDirectory() as folder:
            history = train_detector(data, folder, recipe=recipe, console=Console(quiet=True))
            detections = cspdarknet.Predictor(Path(folder) / "best", runtime="keras")(image)
        text = f"{levels[0]} to {levels[-1]}: mAP50 {history[-1]['val_map50']:.2f}"
        print(text, f"{len(detections)} detections of {len(target['labels'])} cells")
        pictures.append(captioned(enlarged(image, detections.xyxy), text))
    side_by_side(pictures).save(OUT / "levels.jpg", quality=88)


def small_cells(seed: int) -> Sample:
    """Return a drawing of cells of six to ten pixels, in clusters, and their boxes."""
    smear = Smear(seed, SIDE, SIDE)
    smear.add(2, 14, WHITE, 0)
    first = len(smear.cells)
    smear.add(260, 4, PLATELET, 0)
    cells = smear.cells[first:]
    centers, radii = cells[:, :2], cells[:, 2:]
    boxes = np.hstack([centers - radii, centers + radii])
    return np.asarray(smear.image()), {"boxes": boxes.tolist(), "labels": ["cell"] * len(boxes)}


def enlarged(image: np.ndarray, boxes: np.ndarray) -> Image.Image:
    """Return an enlarged image with boxes of thin lines."""
    picture = Image.fromarray(image).resize((SHOWN, SHOWN), Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(picture)
    for box in boxes * (SHOWN / SIDE):
        draw.rectangle(box.tolist(), outline="black")
    return picture


def captioned(picture: Image.Image, text: str) -> Image.Image:
    """Return a picture with a line of text below it."""
    sheet = Image.new("RGB", (picture.width, picture.height + TEXT_HEIGHT), "white")
    sheet.paste(picture, (0, 0))
    ImageDraw.Draw(sheet).text((2, picture.height + 3), text, fill="black", font_size=13)
    return sheet


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    """Return pictures beside each other."""
    width = sum(picture.width for picture in pictures) + GAP * (len(pictures) - 1)
    sheet = Image.new("RGB", (width, max(picture.height for picture in pictures)), "white")
    left = 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + GAP
    return sheet


if __name__ == "__main__":
    draw_rectangles()
    draw_levels()
