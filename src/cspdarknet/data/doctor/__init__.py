"""The data doctor: checks, statistics and pictures of a dataset before a training."""

from cspdarknet.data.doctor.check import (
    DatasetCheck,
    check_dataset,
    dataset_images,
    inspect_dataset,
)
from cspdarknet.data.doctor.duplicates import DatasetImage, DuplicateGroup
from cspdarknet.data.doctor.load import InspectedDataset

__all__ = [
    "DatasetCheck",
    "DatasetImage",
    "DuplicateGroup",
    "InspectedDataset",
    "check_dataset",
    "dataset_images",
    "inspect_dataset",
]
