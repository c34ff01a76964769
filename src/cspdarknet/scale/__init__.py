"""Bulk jobs: features, classes or detections of any number of images, on a cluster with Ray Data.

Each name is imported on use: the Ray engine needs the extra `ray`.
"""

from typing import TYPE_CHECKING

from cspdarknet._lazy import lazy_names

if TYPE_CHECKING:
    from cspdarknet.scale.batch_predictor import BatchPredictor
    from cspdarknet.scale.job import BulkJob
    from cspdarknet.scale.ray import run_on_ray

__all__ = ["BatchPredictor", "BulkJob", "run_on_ray"]

__getattr__, __dir__ = lazy_names(
    __name__, {"BatchPredictor": "batch_predictor", "BulkJob": "job", "run_on_ray": "ray"}
)
