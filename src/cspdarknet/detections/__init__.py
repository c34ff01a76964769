"""Detections: the detected objects of one image, and the options of a detector."""

from cspdarknet.detections.detections import Detection, Detections
from cspdarknet.detections.options import MAX_DETECTIONS, DetectionOptions, check_options

__all__ = ["MAX_DETECTIONS", "Detection", "DetectionOptions", "Detections", "check_options"]
