"""Readers of weight files, one module for each format; those of plain formats also write it."""
