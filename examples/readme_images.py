"""Draws the pictures of README and guides: detections, tracks and feature maps on photographs.

    pip install 'cspdarknet[torch,track]' scikit-image
    python examples/readme_images.py yolox_nano_coco     # or the path of yolox_nano.pth

The photographs are part of scikit-image: `astronaut` (NASA, public domain), `coffee` (Rachel
Michetti, CC0) and `chelsea` (Stéfan van der Walt, CC0).
"""

import sys
from pathlib import Path

import numpy as np
import skimage
from PIL import Image

import cspdarknet
from cspdarknet.images import read_image
from cspdarknet.inference import Counts, TrackPainter, track
from cspdarknet.visualize import draw_boxes, feature_picture

OUT = Path(__file__).resolve().parents[1] / "docs" / "images"
PHOTOGRAPHS = Path(skimage.__file__).parent / "data"
HEIGHT = 360  # of a photograph in the picture of detections, in pixels
GAP = 8
FRAMES, WINDOW = 60, 640  # of the tracks: a window of this width moves over the photographs


def draw_detections(detector: str) -> None:
    """Draw the detections in three photographs side by side."""
    predictor = cspdarknet.Predictor(detector)
    images = []
    for name in ("astronaut.png", "coffee.png", "chelsea.png"):
        photograph = read_image(PHOTOGRAPHS / name)
        drawn = draw_boxes(photograph, predictor(photograph))
        images.append(drawn.resize((round(drawn.width * HEIGHT / drawn.height), HEIGHT)))
    width = sum(image.width for image in images) + GAP * (len(images) - 1)
    sheet = Image.new("RGB", (width, HEIGHT), "white")
    left = 0
    for image in images:
        sheet.paste(image, (left, 0))
        left += image.width + GAP
    sheet.save(OUT / "detections.jpg", quality=88)


def draw_tracks(detector: str) -> None:
    """Draw a frame of a window that moves over the photographs, with tracks and a counting line."""
    predictor = cspdarknet.Predictor(detector)
    names = ("astronaut.png", "coffee.png", "chelsea.png")
    photographs = [Image.fromarray(read_image(PHOTOGRAPHS / name)) for name in names]
    resized = [
        image.resize((image.width * HEIGHT // image.height, HEIGHT)) for image in photographs
    ]
    strip = np.concatenate([np.asarray(image) for image in resized], axis=1)
    lefts = np.linspace(0, strip.shape[1] - WINDOW, FRAMES).astype(int)
    windows = [strip[:, left : left + WINDOW] for left in lefts]
    counts = Counts(lines=[[(WINDOW / 2, HEIGHT), (WINDOW / 2, 0)]])
    painter = TrackPainter(counts)
    for window, tracked in track(predictor.stream(windows[: 3 * FRAMES // 4])):
        counts.update(tracked)
        picture = painter.draw(window, tracked)
    picture.save(OUT / "tracks.jpg", quality=88)


def draw_features() -> None:
    """Draw a photograph beside the feature maps of the bundled classifier's backbone."""
    levels = ["P2", "P3", "P4", "P5"]
    photograph = read_image(PHOTOGRAPHS / "chelsea.png", longer_side=448)
    maps = cspdarknet.Predictor("csp_darknet_tiny_clothing", levels=levels)(photograph)
    picture = feature_picture(photograph, {level: np.asarray(maps[level]) for level in levels})
    picture.save(OUT / "features.jpg", quality=88)


if __name__ == "__main__":
    detector = sys.argv[1] if len(sys.argv) > 1 else "yolox_nano_coco"
    draw_detections(detector)
    draw_tracks(detector)
    draw_features()
