"""Datasets for image regression: loading and training batches."""
