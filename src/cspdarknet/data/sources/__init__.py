"""Datasets that are not a folder: of Hugging Face and PyTorch, tables, and Parquet files."""

from cspdarknet.data.sources.source import is_source, read_source, source_path, source_task

__all__ = ["is_source", "read_source", "source_path", "source_task"]
