"""Writing of datasets: conversion to another format, and new splits."""

from cspdarknet.data.writers.convert import convert_dataset
from cspdarknet.data.writers.split import split_dataset
from cspdarknet.data.writers.write import WRITERS, WrittenDataset

__all__ = ["WRITERS", "WrittenDataset", "convert_dataset", "split_dataset"]
