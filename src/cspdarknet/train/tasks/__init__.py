"""The training tasks: data, model, loss, metrics and report of each."""

from cspdarknet.train.tasks.classification import ClassificationTask
from cspdarknet.train.tasks.detection import DetectionTask
from cspdarknet.train.tasks.kinds import classification_task
from cspdarknet.train.tasks.regression import RegressionTask
from cspdarknet.train.tasks.task import Row, Task

__all__ = [
    "ClassificationTask",
    "DetectionTask",
    "RegressionTask",
    "Row",
    "Task",
    "classification_task",
]
