"""Data-parallel training on several devices and several machines.

N devices compute what one device computes: each has a part of every batch, and the statistics of
batch normalization and the losses are those of the whole batch. On JAX, `keras.distribution`
divides the batches of one process, or of one process for each machine (`join`). On PyTorch, each
device has a process of its own, which `run_on_devices` or `torchrun` starts.
"""

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from typing import TypeVar

import keras

from cspdarknet.inference.devices import keras_device
from cspdarknet.train.distributed.devices import Devices, LostProcessError
from cspdarknet.train.distributed.jax import JaxDevices, join, join_from_text
from cspdarknet.train.distributed.launch import LOST, end_with_launcher, is_worker, run_workers

__all__ = [
    "LostProcessError",
    "check_batch_size",
    "device_count",
    "device_names",
    "distribute",
    "from_first_process",
    "is_first_process",
    "join",
    "join_from_text",
    "joined",
    "mean",
    "on_one_device",
    "process_index_and_count",
    "run_on_devices",
    "set_seed",
    "share_weights",
]

T = TypeVar("T")


def run_on_devices(devices: str) -> bool:
    """Run this command on several devices: in this process, or in one process for each.

    Args:
        devices: number of devices of this machine, or `"auto"` for all.

    Returns:
        Whether the command has been run, by other processes. Otherwise this process has to run it.

    Raises:
        ValueError: if there are fewer devices, or torchrun has started the processes already.
        ChildProcessError: if one of the processes ended without saying why.
        SystemExit: with the status of the first process, if that has said why.
    """
    if is_worker():
        end_with_launcher()
        return False
    if devices != "auto" and not (devices.isdecimal() and int(devices) > 0):
        raise ValueError(f"`--devices` must be a number or 'auto'. Received: --devices {devices}")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError(
            "The processes of this training are started by torchrun: leave out `--devices`. "
            f"Received: --devices {devices}, WORLD_SIZE={os.environ['WORLD_SIZE']}"
        )
    processes = _devices().choose(devices)
    if processes == 1:
        return False
    run_workers(processes)
    return True


@contextlib.contextmanager
def joined() -> Iterator[None]:
    """Be one of the processes of a training inside this context, if there are several.

    On PyTorch, they are joined by the environment variables that torchrun sets; on JAX, `join` has
    done it already.

    Raises:
        ValueError: if a variable is missing, or the processes were started for another backend.
        LostProcessError: if another process ends before this one.
    """
    try:
        with _devices().joined():
            yield
    except LostProcessError:
        if is_worker():
            sys.exit(LOST)  # the process that started it says why
        raise


def distribute() -> None:
    """Divide all later computations among the devices of this process, if there are several."""
    _devices().distribute()


def process_index_and_count() -> tuple[int, int]:
    """Return the index of this process, and the number of processes."""
    return _devices().process()


def is_first_process() -> bool:
    """Whether this process writes the files of the run."""
    return process_index_and_count()[0] == 0


def device_count() -> int:
    """Return the number of devices that divide a batch among them."""
    return _devices().count()


def check_batch_size(batch_size: int) -> None:
    """Check that a batch can be divided evenly among the devices.

    Raises:
        ValueError: if its size is not a multiple of the number of devices.
    """
    devices = _devices().count()
    if batch_size % devices:
        raise ValueError(
            f"`batch_size` must be a multiple of {devices}, the number of devices. "
            f"Received: batch_size={batch_size}"
        )


def on_one_device() -> contextlib.AbstractContextManager[None]:
    """Compute without distribution inside this context, as for evaluations and for saving."""
    return _devices().on_one_device()


def set_seed(seed: int) -> None:
    """Set the random seed of training steps; processes whose dropout is their own get others."""
    _devices().set_seed(seed)


def share_weights(model: keras.Model) -> None:
    """Give all processes the weights that the model has in the first one."""
    _devices().share_weights(model)


def from_first_process(function: Callable[[], T]) -> T:
    """Return what a function returns in the first process.

    Only the first process calls it on PyTorch. On JAX each process does, and returns its own.
    """
    return _devices().from_first_process(function)


def mean(metrics: dict[str, float]) -> dict[str, float]:
    """Return the means of metrics over the processes; on JAX they are of whole batches already."""
    return _devices().mean(metrics)


def device_names() -> str:
    """Return the devices that divide a batch among them, such as `"cpu"` or `"4 gpu devices"`."""
    kind, count = keras_device(), _devices().count()
    return kind if count == 1 else f"{count} {kind} devices"


@functools.cache
def _devices() -> Devices:
    """Return the devices of Keras' backend."""
    backend = keras.backend.backend()
    if backend == "jax":
        return JaxDevices()
    if backend == "torch":
        from cspdarknet.train.distributed.torch import TorchProcesses

        return TorchProcesses()
    return Devices()
