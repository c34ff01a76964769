"""A stand-in for a detector, which finds red and blue rectangles in photos, and the photos."""

import numpy as np
from PIL import Image

from cspdarknet.images import ImageError, read_image
from cspdarknet.inference.photos import detect_in_arrays

COLORS = {"red": (220, 30, 30), "blue": (30, 30, 220)}
SCORES = (0.9, 0.6)


class FakeDetector:
    """Finds at most one rectangle of each color, the red one more surely."""

    num_classes, class_names = 2, tuple(COLORS)
    score_threshold, iou_threshold, max_detections, image_size = 0.3, 0.65, 5, 64
    bounding_box_format = "xyxy"

    def __init__(self):
        self.calls = []

    def predict(self, images, batch_size=8, verbose=0, **settings):
        self.calls.append((len(images), batch_size, settings))
        wanted = {name: value for name, value in settings.items() if value is not None}
        most = wanted.get("max_detections", self.max_detections)
        n = len(images)
        found = {
            "boxes": np.full((n, most, 4), -1, "float32"),
            "confidence": np.full((n, most), -1, "float32"),
            "classes": np.full((n, most), -1, "int32"),
            "num_detections": np.zeros(n, "int32"),
        }
        least = wanted.get("score_threshold", self.score_threshold)
        for i, image in enumerate(images):
            rows = [(s, c, box_of(image, c)) for c, s in enumerate(SCORES) if s >= least]
            for j, (score, label, box) in enumerate([r for r in rows if r[2]][:most]):
                found["boxes"][i, j] = box
                found["confidence"][i, j] = score
                found["classes"][i, j] = label
                found["num_detections"][i] = j + 1
        return found


class FakePredictor:
    """Finds the rectangles in whatever a `Predictor` takes."""

    def __init__(self, **settings):
        self.settings = settings

    def stream(self, photos):
        for item in photos:
            try:
                photo = item if isinstance(item, np.ndarray) else read_image(item)
                yield item, detect_in_arrays(FakeDetector(), [photo], **self.settings)[0]
            except ImageError as error:
                yield item, error


def load_fake_predictor(source, task, runtime, precision, mode, **settings):
    """Stand in for `cspdarknet.cli.options.load_predictor`."""
    return FakePredictor(**settings), tuple(COLORS)


def box_of(image, label):
    channel, other = (0, 2) if label == 0 else (2, 0)
    mask = (image[..., channel] > 150) & (image[..., other] < 100)
    y, x = np.nonzero(mask)
    return (x.min(), y.min(), x.max() + 1, y.max() + 1) if len(x) else None


def paint(size, rectangles):
    """A gray photo, `(height, width)`, with rectangles `(color, x1, y1, x2, y2)`."""
    pixels = np.full((*size, 3), 128, "uint8")
    for color, x1, y1, x2, y2 in rectangles:
        pixels[y1:y2, x1:x2] = COLORS[color]
    return pixels


def save(path, size, rectangles):
    Image.fromarray(paint(size, rectangles)).save(path)
    return path
