"""Detections in images and in frames of a video, for the tests of the forms of results."""

from pathlib import Path

import numpy as np

from cspdarknet.detections import Detections
from cspdarknet.inference.result_formats import FileDetections

NAMES = ("red", "blue")
RESULTS = [
    FileDetections(
        Path("images/a.png"),
        Detections([[2, 3, 12, 14.25], [20, 5, 40, 25]], [0.9, 0.6], [0, 1], (40, 60), NAMES),
    ),
    FileDetections(Path("clip.mp4"), Detections(np.zeros((0, 4)), [], [], (30, 50), NAMES), 0),
    FileDetections(
        Path("clip.mp4"), Detections([[1, 1, 2, 2]], [0.5], [1], (30, 50), NAMES), frame=1
    ),
]
# A box that reaches beyond the image, and one that is outside of it.
BEYOND = FileDetections(
    Path("photos/x/b.jpg"),
    Detections([[-10, 5, 30, 50], [70, 0, 90, 9]], [0.8, 0.7], [1, 0], (40, 60), NAMES),
    key=Path("x/b.jpg"),
)
