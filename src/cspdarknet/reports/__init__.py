"""Reports of evaluations and trainings: metrics as JSON, pictures, and an HTML page."""

from cspdarknet.reports.classification import write_classification_report
from cspdarknet.reports.detection import write_detection_report
from cspdarknet.reports.page import PAGE, TrainingRecord

__all__ = ["PAGE", "TrainingRecord", "write_classification_report", "write_detection_report"]
