"""The fuzzer's side of a worker process: starts it, hands it files, and notices how each case ends.

A new kind of file needs a module `fuzz/NAME.py` with `prepare(folder)` for the worker, see
`worker.py`, and a generator of cases for `run`.
"""

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
SECONDS = 20  # of the processor, that a file may take
WAIT_SECONDS = 120  # for an answer, on a computer that may be busy with other things
START_SECONDS = 600


@dataclass(frozen=True)
class Result:
    """How a case ended.

    Attributes:
        outcome: a word of the module, the name of an exception, `"unsafe"`, `"crash"`, `"hang"`,
            `"slow"`.
        detail: the traceback, or what was unsafe.
        seconds: time of the processor.
        megabytes: the largest memory of the worker so far.
    """

    outcome: str
    detail: str = ""
    seconds: float = 0.0
    megabytes: int = 0


class Worker:
    """A worker process, which is started again after a crash or a hang.

    Args:
        module: name of the module in this folder that uses the files.
        folder: folder for its `prepare`.
    """

    def __init__(self, module, folder):
        self.module, self.folder = module, folder
        self.started_with = 0  # megabytes
        self._process = None

    def use(self, path, **options):
        """Let the worker use a file, and return the result."""
        if self._process is None:
            self._start()
        line = json.dumps({"path": str(path), "options": options}) + "\n"
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
            result = self._answer(WAIT_SECONDS)
        except BrokenPipeError:
            return self._ended()
        return replace(result, outcome="slow") if result.seconds > SECONDS else result

    def _start(self):
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  (closed by `stop`)
        folders = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": folders, "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, TESTS / "fuzz" / "worker.py", self.module, self.folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env=environment | {"OMP_NUM_THREADS": "1", "MALLOC_CHECK_": "3"},
        )
        ready = self._answer(START_SECONDS)
        if ready.outcome != "ready":
            raise RuntimeError(f"The worker does not start: {ready}")
        self.started_with = ready.megabytes

    def _answer(self, seconds):
        readable, _, _ = select.select([self._process.stdout], [], [], seconds)
        if not readable:
            self.stop()
            return Result("hang", f"no answer in {seconds} s")
        line = self._process.stdout.readline()
        return Result(**json.loads(line)) if line else self._ended()

    def _ended(self):
        code = self._process.wait()
        self._errors.seek(0)
        name = signal.Signals(-code).name if code < 0 else f"exit {code}"
        detail = f"{name}: {self._errors.read()[-2000:]}"
        self.stop()
        return Result("crash", detail)

    def stop(self):
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process.stdout.close()
            self._errors.close()
            self._process = None


@dataclass
class Summary:
    """Outcomes of all cases.

    Attributes:
        outcomes: number of cases with each outcome, by kind of file.
        failures: number, description and result of each case with an outcome that is not good.
        slowest: seconds, number and description of the slowest case.
        megabytes: the most that a worker took beyond its start.
    """

    good: tuple[str, ...]
    outcomes: Counter = field(default_factory=Counter)
    failures: list[tuple[int, str, Result]] = field(default_factory=list)
    slowest: tuple[float, int, str] = (0.0, -1, "")
    megabytes: int = 0

    def add(self, number, kind, description, result, started_with):
        """Count a case."""
        self.outcomes[kind, result.outcome] += 1
        if result.outcome not in self.good:
            self.failures.append((number, f"{kind}: {description}", result))
        self.slowest = max(self.slowest, (result.seconds, number, f"{kind}: {description}"))
        self.megabytes = max(self.megabytes, result.megabytes - started_with)

    def __str__(self):
        counts = sorted(self.outcomes.items())
        lines = [f"{kind:28}{outcome:24}{n:8}" for (kind, outcome), n in counts]
        seconds, number, description = self.slowest
        lines += [
            f"slowest: case {number}, {seconds:.2f} s ({description})",
            f"largest memory beyond that of the start: {self.megabytes} MB",
        ]
        for number, description, result in self.failures[:10]:
            lines.append(f"case {number} ({description}): {result.outcome}\n{result.detail[-900:]}")
        return "\n".join(lines)


def run(cases, module, folder, good):
    """Let a worker use the files of all cases.

    Args:
        cases: yields the number, the kind, the description, the path and the options of each case;
            the file is removed when the next one is asked for.
        module: name of the module in this folder that uses the files.
        folder: folder for its `prepare`.
        good: the outcomes that are no failures.

    Returns:
        A `Summary`.
    """
    summary, worker = Summary(good), Worker(module, folder)
    try:
        for number, kind, description, path, options in cases:
            result = worker.use(path, **options)
            summary.add(number, kind, description, result, worker.started_with)
    finally:
        worker.stop()
    return summary


def main(doc, run, write):
    """Run the cases that the command line names, and exit with 1 if one failed.

    Args:
        doc: docstring of the module.
        run: function of the numbers of cases and a random seed that returns a `Summary`.
        write: function of one number and a random seed that writes its file for a closer look.
    """
    parser = argparse.ArgumentParser(description=(doc or "").partition("\n")[0])
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="number of the case to repeat")
    arguments = parser.parse_args()
    if arguments.only is not None:
        print(*write(arguments.only, arguments.seed))
        arguments.first, arguments.cases = arguments.only, 1
    summary = run(range(arguments.first, arguments.first + arguments.cases), arguments.seed)
    print(summary)
    sys.exit(bool(summary.failures))
