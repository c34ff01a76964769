"""Bulk jobs on a Ray cluster, with Ray Data."""

import logging
import os
import signal
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from cspdarknet._arguments import check_count
from cspdarknet._extras import require
from cspdarknet.scale.job import BulkJob
from cspdarknet.scale.part_worker import PartResult, PartWorker
from cspdarknet.scale.storage import EXTRA

MAX_CPUS = 4  # of a worker, if not given: beyond it, several workers are faster than one
MAX_BLOCKS = 10_000  # tasks of Ray; a task of several parts skips those that are done
WAITING_PARTS = 2  # of a worker: the one that it does, and the next
FAILURE = "failure"
SECONDS_TO_CONNECT = 5
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",  # reports over the network
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_DATA_DISABLE_PROGRESS_BARS": "1",
}


class RayWorker:
    """A `PartWorker` in the form of `ray.data.Dataset.map_batches`.

    Its errors are results: Ray would give them to the driver as text, with its own stack trace.

    Args:
        arguments: arguments of `PartWorker`.
    """

    def __init__(self, **arguments: Any) -> None:
        self._arguments = arguments

    @cached_property
    def _worker(self) -> PartWorker:
        return PartWorker(**self._arguments)

    def __call__(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Do the part of a batch, and return its outcome, or why it has none."""
        (part,) = batch["part"]
        try:
            return _columns(self._worker.run(int(part)))
        except (ValueError, OSError, ImportError) as error:
            return _columns(PartResult(int(part), 0, 0), str(error))


def _columns(result: PartResult, failure: str = "") -> dict[str, Any]:
    return {name: [value] for name, value in {**result._asdict(), FAILURE: failure}.items()}


def run_on_ray(job: BulkJob, *, cpus: int | None = None) -> Iterator[PartResult]:
    """Do the unfinished parts of a job on a Ray cluster, and yield the outcome of each.

    It joins the cluster that Ray finds, such as that of `RAY_ADDRESS`, or starts one on this
    machine. Parts that a lost machine was doing are done again by others. After a failure of this
    process, run the same job again.

    Args:
        job: the job.
        cpus: number of processors of a worker, which has one `Predictor`; `None` for 4, or all of
            the smallest machine.

    Raises:
        ValueError: as `BulkJob.start`, or if a worker cannot start or write its results.
        OSError: if Ray fails.
        ImportError: if Ray is not installed.
    """
    with job.claimed():
        yield from run_parts(job, job.start(), cpus)


def run_parts(job: BulkJob, parts: Sequence[int], cpus: int | None = None) -> Iterator[PartResult]:
    """Do parts of a job that was started, as `run_on_ray` does."""
    if cpus is not None:
        cpus = check_count("cpus", cpus)
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    ray: Any = require("ray", EXTRA, "The Ray engine")
    require("ray.data", EXTRA, "The Ray engine")
    if not parts:
        return
    with _cluster(ray):
        try:
            yield from _results(ray, job, parts, cpus)
        except ray.exceptions.RayError as error:
            (reason, *_) = str(error).splitlines() or [type(error).__name__]
            message = f"Ray has failed ({reason}): run the same job again to continue."
            raise OSError(message) from error


def _results(
    ray: Any, job: BulkJob, parts: Sequence[int], cpus: int | None
) -> Iterator[PartResult]:
    machines = [int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]]
    smallest = min((count for count in machines if count), default=MAX_CPUS)
    cpus = cpus or min(MAX_CPUS, smallest)
    workers = min(len(parts), max(1, sum(count // cpus for count in machines)))
    dataset = ray.data.from_items(
        [{"part": part} for part in parts], override_num_blocks=min(len(parts), MAX_BLOCKS)
    )
    results = dataset.map_batches(
        RayWorker,
        fn_constructor_kwargs=job.worker_arguments(cpus),
        batch_size=1,
        num_cpus=cpus,
        num_gpus=1 if job.uses_gpu else None,
        compute=ray.data.ActorPoolStrategy(
            min_size=workers, max_size=len(parts), max_tasks_in_flight_per_actor=WAITING_PARTS
        ),
    )
    for row in results.iter_rows():
        if failure := row.pop(FAILURE):
            raise ValueError(failure)
        yield PartResult(**row)


@contextmanager
def _cluster(ray: Any) -> Iterator[None]:
    """Join or start a cluster, unless the caller has, and leave it at the end."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():
        yield
        return
    _check_address(os.environ.get("RAY_ADDRESS", ""))
    handler = signal.getsignal(signal.SIGTERM)
    ray.init(log_to_driver=False, logging_level=logging.ERROR)
    if handler is not None:
        signal.signal(signal.SIGTERM, handler)  # Ray replaces it by its own
    try:
        yield
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Check that something answers at the address of a cluster, for which Ray waits for minutes.

    Raises:
        ValueError: if nothing does.
    """
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or "/" in host:  # such as "auto" or "ray://…"
        return
    try:
        socket.create_connection((host, int(port)), SECONDS_TO_CONNECT).close()
    except OSError as error:
        raise ValueError(
            "`RAY_ADDRESS` must be the address of a running Ray cluster. Received: "
            f"{address} ({error}): start one with `ray start --head`, or unset RAY_ADDRESS."
        ) from error
