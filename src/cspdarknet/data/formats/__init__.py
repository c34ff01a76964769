"""Readers of dataset formats: each turns a path into `Annotations`, or knows that it cannot."""
