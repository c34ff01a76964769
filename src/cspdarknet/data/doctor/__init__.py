"""The data doctor: checks, statistics and pictures of a dataset before a training."""

from cspdarknet.data.doctor.check import DatasetCheck, check_dataset, inspect_dataset
from cspdarknet.data.doctor.duplicates import DuplicateGroup
from cspdarknet.data.doctor.load import InspectedDataset

__all__ = [
    "DatasetCheck",
    "DuplicateGroup",
    "InspectedDataset",
    "check_dataset",
    "inspect_dataset",
]
