"""Reports of datasets, evaluations and trainings: numbers as JSON, pictures, and an HTML page."""

from typing import TYPE_CHECKING

from cspdarknet._lazy import lazy_names

if TYPE_CHECKING:
    from cspdarknet.reports.classification import write_classification_report
    from cspdarknet.reports.dataset import write_dataset_report
    from cspdarknet.reports.detection import write_detection_report
    from cspdarknet.reports.evaluation import TrainingRecord
    from cspdarknet.reports.page import PAGE
    from cspdarknet.reports.regression import write_regression_report

__all__ = [
    "PAGE",
    "TrainingRecord",
    "write_classification_report",
    "write_dataset_report",
    "write_detection_report",
    "write_regression_report",
]

# Names are imported on first use: the report of a dataset needs no Keras.
__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "PAGE": "page",
        "TrainingRecord": "evaluation",
        "write_classification_report": "classification",
        "write_dataset_report": "dataset",
        "write_detection_report": "detection",
        "write_regression_report": "regression",
    },
)
