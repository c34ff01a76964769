"""Readers of dataset formats: each turns a path into `Annotations`, or returns `None`."""
