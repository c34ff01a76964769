"""Find objects in photos and videos, and write down what was found."""

from cspdarknet.detect.photos import Detections, detect, detect_in_arrays

__all__ = ["Detections", "detect", "detect_in_arrays"]
