"""Writing of datasets: conversion to another format, new splits, and packing into shards."""

from cspdarknet.data.writers.convert import convert_dataset
from cspdarknet.data.writers.pack import PackedDataset, pack_dataset, verify_pack
from cspdarknet.data.writers.split import split_dataset
from cspdarknet.data.writers.write import WRITERS, WrittenDataset

__all__ = [
    "WRITERS",
    "PackedDataset",
    "WrittenDataset",
    "convert_dataset",
    "pack_dataset",
    "split_dataset",
    "verify_pack",
]
