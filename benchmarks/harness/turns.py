"""Timing in turns: the contestants run alternately, and are compared by their ratios in each round.

Worker processes of other virtual environments import this too, so that nothing here needs more than
the standard library.
"""

import os
import statistics
import time
from collections.abc import Callable, Iterator, Mapping

Run = Callable[[], object]
Turn = Callable[[], list[float]]
Rounds = list[list[float]]  # seconds of the calls in each round
Times = dict[str, Rounds]  # of each contestant


def take_turns(turns: Mapping[str, Turn], rounds: int, warm_up: int = 0) -> Iterator[Times]:
    """Yield, after each round, the times of all rounds so far.

    Each contestant has one turn in a round, so that a slow period of the machine affects all.

    Args:
        turns: For each contestant, a function that makes some calls and returns their seconds.
        rounds: Number of rounds.
        warm_up: Number of rounds before them that are not counted.
    """
    times: Times = {name: [] for name in turns}
    for i in range(warm_up + rounds):
        for name, turn in turns.items():
            seconds = turn()
            if i >= warm_up:
                times[name].append(seconds)
        if i >= warm_up:
            yield times


def time_functions(
    runs: Mapping[str, Run], rounds: int, threads: int | None = None, warm_up: int = 1
) -> Times:
    """Return the times of functions in this process, which take turns of one call each.

    Args:
        runs: The function of each contestant.
        rounds: Number of rounds.
        threads: Number of threads that the functions use. With 1, the processor time is measured,
            which other processes do not lengthen.
        warm_up: Number of rounds before them that are not counted.
    """
    clock = time.process_time if threads == 1 else time.perf_counter

    def turn_of(run: Run) -> Turn:
        def turn() -> list[float]:
            start = clock()
            run()
            return [clock() - start]

        return turn

    *_, times = take_turns({name: turn_of(run) for name, run in runs.items()}, rounds, warm_up)
    return times


def timing_note(rounds: int, threads: int) -> str:
    """Describe how `time_functions` measured, for the text above a table."""
    clock = "processor time of one thread" if threads == 1 else f"{threads} threads"
    return f"{clock}, medians of {rounds} rounds in turns"


def median_seconds(times: Rounds) -> float:
    """Return the median over the rounds of the median time in a round."""
    return statistics.median(map(statistics.median, times))


def median_ratio(times: Rounds, base: Rounds) -> float:
    """Return the median over the rounds of one contestant's time divided by another's."""
    pairs = zip(map(statistics.median, times), map(statistics.median, base), strict=True)
    return statistics.median(time / base_time for time, base_time in pairs)


def limit_cores(count: int) -> None:
    """Use `count` cores in this process; to be called before a backend starts its threads."""
    import torch

    if hasattr(os, "sched_setaffinity"):  # Linux
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])
    torch.set_num_threads(count)
