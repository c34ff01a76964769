"""Contestants in processes of their own, possibly of other virtual environments.

A benchmark script is also the program of its workers: `run_script` starts its `work` function in a
process that `start_worker` made. While one worker runs, the others wait for a line on their
standard input.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from harness.turns import Run, Times, take_turns

ROOT = Path(__file__).resolve().parents[2]
KERASCV_PACKAGES = ["keras-cv==0.9.0", "keras", "tensorflow-cpu", "jax", "torch", "pillow"]
TIMM_PACKAGES = ["timm==1.0.31", "torch", "torchvision"]
YOLOX_PACKAGES = ["pixeltable-yolox==0.4.3", "loguru", "tabulate", "psutil", "tqdm", "requests"]
YOLOX_PACKAGES += ["opencv-python-headless", "pycocotools", "ninja"]
DATA_TOOLS_PACKAGES = ["datumaro==1.13.12", "cleanvision==0.3.7"]
WORKER_OPTION = "--worker"
PAUSE = 0.1  # seconds; some libraries' threads look for work for a few milliseconds after a call
LONG_CALL = 3.0  # seconds; a turn is then a single call

# What a worker runs, and what it tells the driver, as JSON.
Work = tuple[Run, dict[str, Any]]


def run_script(main: Callable[[], None], work: Callable[..., Work]) -> None:
    """Run a benchmark script as the driver, or as a worker that `start_worker` started.

    Args:
        main: The driver.
        work: What a worker does, from the arguments of `start_worker`.
    """
    if sys.argv[1:2] == [WORKER_OPTION]:
        _serve(*work(**json.loads(sys.argv[2])))
    else:
        main()


def _serve(run: Run, facts: dict[str, Any]) -> None:
    """Warm up, report to the driver, then take one turn for each line on standard input."""

    def timed() -> float:
        start = time.perf_counter()
        run()
        return time.perf_counter() - start

    seconds = timed()
    for _ in range(1 if seconds > LONG_CALL else 3):
        seconds = timed()
    facts = {**facts, "seconds": seconds, "peak_megabytes": _peak_megabytes()}
    print(json.dumps(facts), flush=True)
    for line in sys.stdin:
        print(json.dumps([timed() for _ in range(int(line))]), flush=True)


def _peak_megabytes() -> float | None:
    """Return the largest memory that this process has had; `None` where Linux does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    return int(status.read_text().partition("VmHWM:")[2].split()[0]) / 1e3


class Worker:
    """The process of a contestant, idle until its turn.

    Attributes:
        facts: What it reported when it was ready: the facts of its `work`; `"seconds"`, the time
            of its last warm-up call; and `"peak_megabytes"`, its largest memory so far.
    """

    def __init__(self, command: Sequence[object], environment: Mapping[str, str]) -> None:
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115 (as long as the process)
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=_environment(environment),
        )
        self.facts: dict[str, Any] = self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith(("[", "{")):
                return json.loads(line)
        self.log.seek(0)
        last = "".join(self.log.readlines()[-5:])
        raise RuntimeError(f"A worker ended early: {self.process.args!r}\n{last}")

    def turn(self, seconds: float) -> list[float]:
        """Run for about `seconds`, or three calls, and return the seconds of each call."""
        time.sleep(PAUSE)
        call = self.facts["seconds"]
        calls = max(1 if call > LONG_CALL else 3, round(seconds / call))
        assert self.process.stdin is not None
        print(calls, file=self.process.stdin, flush=True)
        return list(self._answer())

    def stop(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()
        self.log.close()


def start_worker(
    script: str,
    environment: Mapping[str, str] | None = None,
    python: str | Path = sys.executable,
    **arguments: Any,
) -> Worker:
    """Start a worker of a benchmark script, and wait until it is ready.

    Args:
        script: Path of the script.
        environment: Environment variables in addition to those of this process.
        python: The interpreter.
        **arguments: Arguments of the script's `work`, which are passed as JSON.

    Raises:
        RuntimeError: If the worker fails.
    """
    command = [python, script, WORKER_OPTION, json.dumps(arguments)]
    return Worker(command, environment or {})


@contextmanager
def running_workers() -> Iterator[dict[str, Worker]]:
    """Yield a dictionary for workers by name, which are stopped at the end of the block."""
    workers: dict[str, Worker] = {}
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.stop()


def time_workers(workers: Mapping[str, Worker], rounds: int, seconds: float) -> Iterator[Times]:
    """Yield, after each round, the times of all rounds so far; a turn takes about `seconds`."""
    return take_turns(
        {name: partial(worker.turn, seconds) for name, worker in workers.items()}, rounds
    )


def startup_seconds(
    code: str, environment: Mapping[str, str] | None = None, python: str | Path = sys.executable
) -> float:
    """Return the seconds from the start of a new Python process until it has run some code."""
    start = time.perf_counter()
    with subprocess.Popen(
        [python, "-c", f"{code}\nprint('ready', flush=True)"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(environment or {}),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        answer = process.stdout.readline()
        seconds = time.perf_counter() - start
        if answer != b"ready\n":
            raise SystemExit(process.stderr.read().decode())
    return seconds


def _environment(variables: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **variables}


def limit_threads(count: int) -> dict[str, str]:
    """Return the environment variables that limit the number of threads of libraries."""
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")
    return dict.fromkeys(names, str(count))


def kerascv_python(folder: Path) -> Path:
    """Return the interpreter of KerasCV's environment."""
    return _virtual_environment(folder, KERASCV_PACKAGES, "-c", ROOT / "constraints.txt")


def timm_python(folder: Path) -> Path:
    """Return the interpreter of timm's environment, which has a PyTorch of its own."""
    return _virtual_environment(folder, TIMM_PACKAGES)


def data_tools_python(folder: Path) -> Path:
    """Return the interpreter of the environment of Datumaro and CleanVision."""
    return _virtual_environment(folder, DATA_TOOLS_PACKAGES)


def yolox_packages(folder: Path) -> Path:
    """Return the folder of YOLOX and what it imports, but for PyTorch: both sides share one."""
    if not folder.exists():
        print(f"Installing {', '.join(YOLOX_PACKAGES)} into {folder} ...", flush=True)
        command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target"]
        subprocess.run([*command, str(folder), *YOLOX_PACKAGES], check=True)
    return folder


def _virtual_environment(folder: Path, packages: Sequence[str], *options: str | Path) -> Path:
    """Return the interpreter of a virtual environment, which is made if it does not exist."""
    python = folder / "bin" / "python"
    if not python.exists():
        print(f"Installing {', '.join(packages)} into {folder} ...", flush=True)
        venv.create(folder, with_pip=True)
        command = [str(python), "-m", "pip", "install", "-q", *map(str, options)]
        subprocess.run([*command, *packages], check=True)
    return python
