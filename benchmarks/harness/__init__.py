"""Shared code of the benchmarks: timing in turns, worker processes, test images, results."""
