"""What all benchmarks share: turns, worker processes, and the form of results."""
