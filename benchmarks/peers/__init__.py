"""The networks and libraries that the benchmarks compare with."""
