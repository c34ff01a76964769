"""What is explained in an image: a class, a number or one detection."""

from dataclasses import dataclass

import numpy as np

from cspdarknet.detections import Detections
from cspdarknet.evaluate.matching import pairwise_iou

Box = tuple[float, float, float, float]


class TargetError(ValueError):
    """The image does not have the detection that is to be explained."""


@dataclass(frozen=True)
class Target:
    """A class of an image, a number that is predicted from it, or one detection.

    Attributes:
        class_id: the class, or the index of the number.
        score: its probability, the number, or the confidence of the detection.
        box: left, top, right and bottom of the detection in pixels; `None` without one.
    """

    class_id: int
    score: float
    box: Box | None = None

    def score_in(self, result: np.ndarray | Detections) -> float:
        """Return the score of the target in the result of a `Predictor` for a changed image.

        That of a detection is the highest product of confidence and IoU with its box among the
        detections of its class; 0 without one.
        """
        if not isinstance(result, Detections):
            return float(result[self.class_id])
        same = result[result.class_id == self.class_id]
        overlaps = pairwise_iou(np.array([self.box]), same.xyxy)[0]
        return float((overlaps * same.confidence).max(initial=0))


def class_target(probabilities: np.ndarray, class_id: int | None) -> Target:
    """Return the target of a classified image: a class, or the most probable one."""
    chosen = int(probabilities.argmax()) if class_id is None else class_id
    return Target(chosen, float(probabilities[chosen]))


def number_target(numbers: np.ndarray, index: int | None) -> Target:
    """Return the target of an image with numbers: one of them, by default the first."""
    return Target(index or 0, float(numbers[index or 0]))


def detection_target(detections: Detections, class_id: int | None, index: int) -> Target:
    """Return the target of an image with detections.

    Args:
        detections: the detections, in descending order of confidence.
        class_id: the class that the detection must be of; `None` for any.
        index: number of the detection among those.

    Raises:
        TargetError: (a `ValueError`) If there are not so many detections.
    """
    chosen = detections if class_id is None else detections[detections.class_id == class_id]
    if not 0 <= index < len(chosen):
        names = detections.class_names
        of_class = f" of class {names[class_id]}" if names and class_id is not None else ""
        image = "the image" if detections.path is None else str(detections.path)
        raise TargetError(
            f"`detection` must be the number of a detection, from 0. Received: {index}, while "
            f"{image} has {len(chosen)} detections{of_class}: choose another one, or lower the "
            "score threshold."
        )
    xyxy, confidence, found, *_ = next(iter(chosen[[index]]))
    return Target(found, confidence, xyxy)
