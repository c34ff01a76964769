"""Data parallel on PyTorch: one process for each device, by `torch.distributed`.

What the models compute over the whole batch is in `cspdarknet.models.torch.parallel`. The processes
find each other by the environment variables that `torchrun` sets. They exchange what is computed on
devices by NCCL on GPUs and by gloo on processors, and all else by gloo.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any, TypeVar

import keras
import torch
import torch.distributed as dist
from keras.src.backend.torch.core import get_device

from cspdarknet.train.distributed.devices import Devices, LostProcessError

T = TypeVar("T")

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
# The other processes wait for the first one while it checks all images, or evaluates.
LONGEST_WAIT = timedelta(days=1)
SEED_STEP = 1_000_003  # between the seeds of two processes


class TorchProcesses(Devices):
    """The processes of PyTorch's default process group."""

    def __init__(self) -> None:
        self._group: Any = None  # of gloo

    def count(self) -> int:
        """Return the number of processes."""
        return self.process()[1]

    def process(self) -> tuple[int, int]:
        """Return the index of this process, and the number of processes."""
        if not (dist.is_available() and dist.is_initialized()):
            return 0, 1
        return dist.get_rank(), dist.get_world_size()

    def choose(self, devices: str) -> int:
        """Return the number of processes to start on this machine, one for each device."""
        gpus = torch.cuda.device_count() if _computes_on("cuda") else 0
        if devices == "auto":
            return max(1, gpus)
        if gpus and int(devices) > gpus:
            raise ValueError(
                f"`--devices` must be at most {gpus}, the number of GPUs. "
                f"Received: --devices {devices}"
            )
        return int(devices)

    @contextlib.contextmanager
    def joined(self) -> Iterator[None]:
        """Join the processes that the environment variables name, unless this was done already.

        Raises:
            ValueError: if a variable is missing, or this machine lacks the device.
            LostProcessError: if another process ends before this one.
        """
        if self.count() > 1 or int(os.environ.get("WORLD_SIZE", "1")) < 2:
            yield
            return
        _check_environment()
        try:
            self._join()
            yield
            dist.destroy_process_group()
        except RuntimeError as error:
            if not _is_about_connections(error):
                raise
            raise LostProcessError(
                "Another process of this training has ended; its own message says why."
            ) from error
        finally:
            self._group = None

    def set_seed(self, seed: int) -> None:
        """Set the random seed of a training step; dropout differs between the processes."""
        super().set_seed(seed)
        torch.manual_seed(seed + SEED_STEP * self.process()[0])

    def share_weights(self, model: keras.Model) -> None:
        """Give all processes the weights of the first one."""
        if self.count() > 1:
            for variable in model.variables:
                value = variable.value.detach()
                shared = value.clone(memory_format=torch.contiguous_format)
                dist.broadcast(shared, 0)
                value.copy_(shared)

    def from_first_process(self, function: Callable[[], T]) -> T:
        """Return what a function returns in the first process, the only one that calls it."""
        index, count = self.process()
        if count == 1:
            return function()
        values: list[Any] = [function() if index == 0 else None]
        dist.broadcast_object_list(values, src=0, group=self._group)
        result: T = values[0]
        return result

    def mean(self, metrics: dict[str, float]) -> dict[str, float]:
        """Return the means of metrics over the processes."""
        if self.count() == 1:
            return metrics
        values = torch.tensor(list(metrics.values()), dtype=torch.float64, device="cpu")
        dist.all_reduce(values, group=self._group)
        return dict(zip(metrics, (values / self.count()).tolist(), strict=True))

    def _join(self) -> None:
        """Initialize the process group, and take the GPU of this process."""
        gpu = int(os.environ.get("LOCAL_RANK", "0"))
        on_gpus = _computes_on("cuda")
        if on_gpus:
            if gpu >= torch.cuda.device_count():
                raise ValueError(
                    f"A machine with {torch.cuda.device_count()} GPUs cannot run one process for "
                    f"each of {gpu + 1}: start as many processes as GPUs. Received: "
                    f"LOCAL_RANK={gpu}"
                )
            torch.cuda.set_device(gpu)
        elif not _computes_on("cpu"):
            raise ValueError(
                "Several processes can train on processors and on CUDA devices. Received: "
                f"{get_device()}; set KERAS_TORCH_DEVICE=cpu"
            )
        dist.init_process_group("nccl" if on_gpus else "gloo")
        self._group = dist.new_group(backend="gloo", timeout=LONGEST_WAIT)


def _computes_on(kind: str) -> bool:
    """Whether Keras computes on devices of a kind, such as `"cuda"`."""
    return str(get_device()).split(":")[0] == kind


def _check_environment() -> None:
    """Check that the variables that `torchrun` sets are all there."""
    if missing := [name for name in VARIABLES if not os.environ.get(name)]:
        raise ValueError(
            f"A training in several processes needs the environment variable {missing[0]}: start "
            f"it by torchrun, or unset WORLD_SIZE. Received: WORLD_SIZE={os.environ['WORLD_SIZE']}"
        )
    restarts = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    if restarts != "0" and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        # The processes would wait for those whose addresses are still in torchrun's store.
        raise ValueError(
            "Restarts by torchrun need the environment variable "
            "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1: set it, and start torchrun again. Received: "
            f"TORCHELASTIC_RESTART_COUNT={restarts}"
        )


def _is_about_connections(error: RuntimeError) -> bool:
    return isinstance(error, dist.DistError) or "gloo" in str(error)
