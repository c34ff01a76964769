"""What the benchmarks of the detector share: a number of cores, turns within one process."""

import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch


def limit_cores(count: int) -> None:
    """Keep to `count` cores; to be called before a backend has made its threads."""
    if hasattr(os, "sched_setaffinity"):  # Linux
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    torch.set_num_threads(count)


def in_turns(
    cases: Mapping[str, Callable[[], object]], rounds: int, threads: int, warm_up: int = 2
) -> dict[str, list[float]]:
    """Return the milliseconds of each case in each round.

    The cases take turns, so that a slow spell of the machine hits all of them. With one thread the
    processor's time is taken: other processes don't lengthen it.
    """
    clock = time.process_time if threads == 1 else time.perf_counter
    times: dict[str, list[float]] = {name: [] for name in cases}
    for i in range(rounds + warm_up):
        for name, case in cases.items():
            start = clock()
            case()
            if i >= warm_up:
                times[name].append(1e3 * (clock() - start))
    return times


def in_words(rounds: int, threads: int) -> str:
    """Say how `in_turns` takes times."""
    clock = "processor time of one thread" if threads == 1 else f"{threads} threads"
    return f"{clock}, medians of {rounds} rounds in turns"


def median_ratio(times: Sequence[float], base: Sequence[float]) -> float:
    """Return the median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(times, base, strict=True))
