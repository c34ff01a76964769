"""`Devices`: what a training asks of the devices that it runs on; here those of one process."""

import contextlib
import os
from collections.abc import Callable
from typing import TypeVar

import keras

T = TypeVar("T")


class LostProcessError(ConnectionError):
    """Another process of the training has ended."""


class Devices:
    """One device of one process. The subclasses are data parallel on several."""

    def count(self) -> int:
        """Return the number of devices that divide a batch among them."""
        return 1

    def process(self) -> tuple[int, int]:
        """Return the index of this process, and the number of processes."""
        return 0, 1

    def choose(self, devices: str) -> int:
        """Return the number of processes to start, so that a training has these devices.

        Args:
            devices: a number, or `"auto"` for all of this machine.

        Raises:
            ValueError: if this machine or the backend has fewer.
        """
        if devices not in ("auto", "1"):
            raise ValueError(
                f"Training on {keras.backend.backend()} uses one device: set KERAS_BACKEND=jax or "
                f"torch for several. Received: --devices {devices}"
            )
        return 1

    def joined(self) -> contextlib.AbstractContextManager[None]:
        """Be one of the processes of a training inside this context, if there are several.

        Raises:
            ValueError: if they were started for another backend.
            LostProcessError: if another process ends before this one.
        """
        if "TORCHELASTIC_RUN_ID" in os.environ and os.environ.get("WORLD_SIZE") != "1":
            raise ValueError(
                "torchrun starts the processes of a training on PyTorch: set KERAS_BACKEND=torch. "
                f"Received: KERAS_BACKEND={keras.backend.backend()}"
            )
        return contextlib.nullcontext()

    def distribute(self) -> None:
        """Divide all later computations among the devices of this process."""

    def on_one_device(self) -> contextlib.AbstractContextManager[None]:
        """Compute on one device inside this context."""
        return contextlib.nullcontext()

    def set_seed(self, seed: int) -> None:
        """Set the random seed of a training step."""
        keras.utils.set_random_seed(seed)

    def share_weights(self, model: keras.Model) -> None:
        """Give all processes the weights of the first one."""

    def from_first_process(self, function: Callable[[], T]) -> T:
        """Return what a function returns in the first process."""
        return function()

    def mean(self, metrics: dict[str, float]) -> dict[str, float]:
        """Return the means of metrics over the processes."""
        return metrics
