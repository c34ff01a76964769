"""A stand-in for the `Predictor` of a detector of red and blue rectangles, and images of these."""

import numpy as np
from PIL import Image

from cspdarknet.detections import DetectionOptions, Detections
from cspdarknet.images import ImageError, read_image
from cspdarknet.model_info import ModelInfo

COLORS = {"red": (220, 30, 30), "blue": (30, 30, 220)}
CONFIDENCES = (0.9, 0.6)


class FakePredictor:
    """Detects at most one rectangle of each color, the red one with the higher confidence."""

    class_names = tuple(COLORS)
    info = ModelInfo("detection", class_names=class_names, image_size=64)

    def __init__(self, options=None):
        self.options = (options or DetectionOptions()).filled(0.3, 0.65, 5, 64)

    def stream(self, images, with_pixels=False):
        for item in images:
            try:
                image = np.asarray(item) if hasattr(item, "__array__") else read_image(item)
                result = item, self.detect(image), image
            except ImageError as error:
                result = item, error, None
            yield result if with_pixels else result[:2]

    def __call__(self, image):
        return self.detect(np.asarray(image))

    def detect(self, image):
        boxes = ((box_of(image, class_id), class_id) for class_id in range(2))
        rows = [
            (*box, CONFIDENCES[class_id], class_id)
            for box, class_id in boxes
            if box and CONFIDENCES[class_id] >= self.options.score_threshold
        ]
        table = np.array(rows[: self.options.max_detections]).reshape(-1, 6)
        columns = table[:, :4], table[:, 4], table[:, 5]
        return Detections(*columns, image.shape[:2], self.class_names)


def load_fake_predictor(model, task, options=None, **settings):
    """Stand in for `cspdarknet.cli.options.load_predictor`."""
    return FakePredictor(options)


def box_of(image, class_id):
    channel, other = (0, 2) if class_id == 0 else (2, 0)
    mask = (image[..., channel] > 150) & (image[..., other] < 100)
    y, x = np.nonzero(mask)
    return (x.min(), y.min(), x.max() + 1, y.max() + 1) if len(x) else None


def paint(size, rectangles):
    """A gray image, `(height, width)`, with rectangles `(color, x1, y1, x2, y2)`."""
    pixels = np.full((*size, 3), 128, "uint8")
    for color, x1, y1, x2, y2 in rectangles:
        pixels[y1:y2, x1:x2] = COLORS[color]
    return pixels


def save(path, size, rectangles):
    Image.fromarray(paint(size, rectangles)).save(path)
    return path
