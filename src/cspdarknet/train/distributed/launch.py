"""Start of one worker process for each device of this machine, as torchrun does.

Each worker runs the command of this process again, and finds the others by the environment
variables of torchrun. The first worker has the terminal. When one of them ends too early, the
others are ended too.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

WORKER = "CSPDARKNET_WORKER"  # environment variable of workers
LOST = 75  # exit status of a worker that ends because another one has ended
SIGNALED = 128  # exit statuses of programs that were ended by a signal, and said so, are above
GRACE = 10.0  # seconds for the others to end by themselves
POLL = 0.1  # seconds
AGAIN = "The others were stopped; run the same command again to continue."


@dataclass(frozen=True)
class Worker:
    """A worker process.

    Attributes:
        index: its index.
        process: the process.
        errors: the file that it writes its standard error to; `None` for the terminal.
    """

    index: int
    process: subprocess.Popen[bytes]
    errors: Path | None

    @property
    def status(self) -> int | None:
        """The exit status; `None` while it runs, the negative number of a signal that ended it."""
        return self.process.poll()


def is_worker() -> bool:
    """Whether `run_workers` of another process has started this one."""
    return WORKER in os.environ


def end_with_launcher() -> None:
    """End this worker when the process that started it ends, also when that was killed."""

    def wait() -> None:
        os.read(0, 1)  # returns when the other end of the pipe is closed
        os._exit(LOST)

    threading.Thread(target=wait, daemon=True).start()


def run_workers(processes: int) -> None:
    """Run the command of this process in several processes, and wait for their end.

    Args:
        processes: their number.

    Raises:
        ChildProcessError: if one of them ended without saying why.
        KeyboardInterrupt: if this process was interrupted.
        SystemExit: with the status of the first one, if that has said why.
    """
    from torch.distributed import TCPStore

    # The workers meet here, so that no other program can take the port before they do.
    store = TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    with tempfile.TemporaryDirectory() as folder, _none_left() as workers:
        for index in range(processes):
            workers.append(_start(index, processes, store.port, Path(folder)))
        try:
            failed = _wait(workers)
        except KeyboardInterrupt:
            _interrupt(workers)
            raise
        if failed:
            _report(failed, processes)


@contextlib.contextmanager
def _none_left() -> Iterator[list[Worker]]:
    """Yield a list for workers; kill those that are left at the end. Their files are safe."""
    workers: list[Worker] = []
    try:
        yield workers
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.wait()


def _start(index: int, processes: int, port: int, folder: Path) -> Worker:
    """Start a worker. It reads nothing, but its standard input ends with this process."""
    errors = folder / str(index) if index else None
    with contextlib.ExitStack() as files:
        process = subprocess.Popen(
            [sys.executable, *sys.orig_argv[1:]],
            env=_defaults(processes) | os.environ | worker_variables(index, processes, port),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL if errors else None,
            stderr=files.enter_context(errors.open("wb")) if errors else None,
            start_new_session=True,  # Ctrl-C reaches this process only, which ends the workers
        )
    return Worker(index, process, errors)


def worker_variables(index: int, processes: int, port: int) -> dict[str, str]:
    """Return the environment variables by which a worker finds the others.

    Args:
        index: its index.
        processes: number of workers.
        port: port of the store on this machine, which this process has.
    """
    variables = {
        "RANK": index,
        "LOCAL_RANK": index,
        "WORLD_SIZE": processes,
        "LOCAL_WORLD_SIZE": processes,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "TORCHELASTIC_USE_AGENT_STORE": True,
        WORKER: 1,
    }
    return {name: str(value) for name, value in variables.items()}


def _defaults(processes: int) -> dict[str, str]:
    """Return the variables that the user may have set: the cores are divided among the workers."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    defaults = {"OMP_NUM_THREADS": str(max(1, cores // processes))}
    for _, name in socket.if_nameindex():
        if name in ("lo", "lo0"):
            # Otherwise gloo looks for the address of this machine's name, which not all have.
            defaults["GLOO_SOCKET_IFNAME"] = name
    return defaults


def _wait(workers: Sequence[Worker]) -> list[Worker]:
    """Wait until all workers have ended, or one too early; return those that have failed."""
    while _some_run(workers) and not any(worker.status for worker in workers):
        time.sleep(POLL)
    _wait_for_end(workers)
    return [worker for worker in workers if worker.status]


def _wait_for_end(workers: Sequence[Worker]) -> None:
    """Give workers time to end by themselves."""
    deadline = time.monotonic() + GRACE
    while _some_run(workers) and time.monotonic() < deadline:
        time.sleep(POLL)


def _some_run(workers: Sequence[Worker]) -> bool:
    return any(worker.status is None for worker in workers)


def _interrupt(workers: Sequence[Worker]) -> None:
    """End workers as at Ctrl-C.

    Raises:
        SystemExit: if the first one has said that it was interrupted.
    """
    for worker in workers:
        worker.process.terminate()
    _wait_for_end(workers)
    if (workers[0].status or 0) > SIGNALED:
        raise SystemExit(workers[0].status)


def _report(failed: Sequence[Worker], processes: int) -> NoReturn:
    """Raise the error of the worker that has failed first, as far as it is known."""
    causes = [worker for worker in failed if worker.status != LOST] or failed
    cause = causes[0]
    status = cause.status or 0
    if cause.index == 0 and status > 0 and status != LOST:
        raise SystemExit(status)
    name = f"Worker process {cause.index + 1} of {processes}"
    if status == LOST:
        raise ChildProcessError(f"{name} has lost the connection to the others. {AGAIN}")
    if (number := -status if status < 0 else status - SIGNALED) > 0:
        reason = f"was ended by {signal.Signals(number).name}"
        if number == getattr(signal, "SIGKILL", None):
            reason += ", as by `kill -9`, or by the system where memory runs out"
        raise ChildProcessError(f"{name} {reason}. {AGAIN}")
    text = cause.errors.read_text(errors="replace").strip() if cause.errors else ""
    *before, last = text.splitlines() or ["it wrote no message."]
    if before:
        print("\n".join(before), file=sys.stderr)
    raise ChildProcessError(f"{name} has failed: {last.removeprefix('Error: ')} {AGAIN}")
