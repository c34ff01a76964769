"""Contestants in processes of their own, possibly of other virtual environments, that take turns.

While one works the others wait for a line on their standard input. Some libraries' threads look
out for work for a few milliseconds after a call, so there is a pause between turns.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
BENCHMARKS = ROOT / "benchmarks"
CONSTRAINTS = ROOT / "constraints.txt"
KERASCV_PACKAGES = ["keras-cv==0.9.0", "keras", "tensorflow-cpu", "jax", "torch", "pillow"]
TIMM_PACKAGES = ["timm==1.0.31", "torch", "torchvision"]
PAUSE = 0.1  # seconds, for the threads of the last one to fall asleep
LONG = 3.0  # seconds; of a call that takes longer, one makes a turn


Times = dict[str, list[list[float]]]  # of each contestant's calls in each round, in seconds

# In the worker's process; nothing here may need more than the standard library.


def serve(run: Callable[[], object], **about: Any) -> None:
    """Warm up, tell the driver about it, then time one turn for each line on standard input."""
    start = time.perf_counter()
    run()
    first = time.perf_counter() - start
    for _ in range(1 if first > LONG else 3):
        start = time.perf_counter()
        run()
        last = time.perf_counter() - start
    print(json.dumps({**about, "first": first, "seconds": last}), flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        print(json.dumps(times), flush=True)


# In the driver's process.


class Worker:
    """A contestant's process, idle until it is asked.

    Attributes:
        about: what it said when it was ready; "seconds" is how long its last warm-up call took.
    """

    def __init__(
        self, command: Sequence[object], environment: Mapping[str, str] | None = None
    ) -> None:
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (as long as the process)
        self.process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env={
                **os.environ,
                "TF_CPP_MIN_LOG_LEVEL": "3",
                "PYTHONPATH": str(BENCHMARKS),
                **(environment or {}),
            },
        )
        self.about: dict[str, Any] = self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(("[", "{")):
                return json.loads(line)
        self.log.seek(0)
        last = "".join(self.log.readlines()[-5:])
        raise RuntimeError(f"A worker ended early: {self.process.args!r}\n{last}")

    def turn(self, seconds: float) -> list[float]:
        """Work for about so long, three times at least, and return the times in seconds."""
        each = self.about["seconds"]
        repeats = max(1 if each > LONG else 3, round(seconds / each))
        assert self.process.stdin is not None
        print(repeats, file=self.process.stdin, flush=True)
        return list(self._answer())

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()
        self.log.close()


@contextmanager
def ending() -> Iterator[dict[str, Worker]]:
    """Give a dictionary for workers, all of which end when the block does."""
    workers: dict[str, Worker] = {}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.stop()


def take_turns(workers: Mapping[str, Worker], rounds: int, seconds: float) -> Iterator[Times]:
    """Yield, after each round, the seconds of each contestant's calls in each round so far.

    A slow spell of the machine hits all of them; what to read is the ratio within a round.
    """
    times: Times = {name: [] for name in workers}
    for _ in range(rounds):
        for name, worker in workers.items():
            time.sleep(PAUSE)
            times[name].append(worker.turn(seconds))
        yield times


def medians(rounds: Sequence[Sequence[float]]) -> list[float]:
    """Return the median of each round."""
    return [statistics.median(times) for times in rounds]


def median_ratio(times: Sequence[Sequence[float]], base: Sequence[Sequence[float]]) -> float:
    """Return the median of the rounds' ratios of one contestant's time to another's."""
    pairs = zip(medians(times), medians(base), strict=True)
    return statistics.median(a / b for a, b in pairs)


def environment(folder: Path, packages: Sequence[str], *options: str | Path) -> Path:
    """Return the interpreter of a virtual environment, making it with pip if need be."""
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"Installing {', '.join(packages)} into {folder} ...", flush=True)
        venv.create(folder, with_pip=True)
        command = [str(python), "-m", "pip", "install", "-q", *map(str, options)]
        subprocess.run([*command, *packages], check=True)
    return python


def kerascv_python(folder: Path) -> Path:
    """Return the interpreter of KerasCV's environment."""
    return environment(folder, KERASCV_PACKAGES, "-c", CONSTRAINTS)


def timm_python(folder: Path) -> Path:
    """Return the interpreter of timm's environment, which has a PyTorch of its own."""
    return environment(folder, TIMM_PACKAGES)


def limit_threads(count: int) -> dict[str, str]:
    """Return the environment variables that tell libraries how many threads to use."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    return dict.fromkeys(names, str(count))
