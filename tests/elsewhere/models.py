"""The models of the table, small and with random weights, and their images."""

from functools import cache
from typing import Any

import numpy as np

from cspdarknet.detections import DetectionOptions
from cspdarknet.models import CSPDarkNetBackbone, ImageClassifier, YOLOXDetector
from support import TINY_NET, randomize

SIDE = 64  # pixels
OPTIONS = DetectionOptions(score_threshold=0.0, max_detections=10)
DETECTOR = {"options": OPTIONS}
# The rows of the table, and the arguments of their exports.
EXPORTS: dict[str, dict[str, Any]] = {
    "classifier": {},
    "backbone": {},
    "detector, raw": {"raw_outputs": True},
    "detector, NMS": DETECTOR,
    "detector, letterbox and NMS": DETECTOR | {"letterbox": True},
}


@cache
def model(row: str) -> Any:
    """Return the model of a row."""
    if row.startswith("detector"):
        backbone = CSPDarkNetBackbone([8, 8, 8], [1, 1, 1], include_rescaling=True)
        return randomize(YOLOXDetector(backbone, 2, image_size=SIDE))
    backbone = CSPDarkNetBackbone(**TINY_NET, include_rescaling=True)
    return randomize(backbone if row == "backbone" else ImageClassifier(backbone, 3))


def images(row: str, count: int) -> np.ndarray:
    """Return smooth random images, as photographs are: not square for a letterbox."""
    height = 40 if "letterbox" in row else SIDE
    coarse = np.random.default_rng(0).uniform(0, 255, (count, height // 8, SIDE // 8, 3))
    return coarse.repeat(8, axis=1).repeat(8, axis=2).astype("uint8")
