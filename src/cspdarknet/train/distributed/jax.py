"""Data parallel on JAX: one process for all devices of a machine, by `keras.distribution`."""

import contextlib
from collections.abc import Iterator

import keras

from cspdarknet.train.distributed.devices import Devices


class JaxDevices(Devices):
    """All devices that JAX sees, those of other processes included."""

    def __init__(self) -> None:
        self._chosen: int | None = None

    def count(self) -> int:
        """Return the number of devices."""
        import jax

        return jax.device_count() if self._chosen is None else self._chosen

    def process(self) -> tuple[int, int]:
        """Return the index of this process, and the number of processes."""
        import jax

        return jax.process_index(), jax.process_count()

    def choose(self, devices: str) -> int:
        """Use the first devices of this machine; one process has them all."""
        import jax

        seen = jax.device_count()
        if devices != "auto" and int(devices) > seen:
            raise ValueError(
                f"`--devices` must be at most {seen}, the number of devices that JAX sees. "
                f"Received: --devices {devices}"
            )
        self._chosen = seen if devices == "auto" else int(devices)
        return 1

    def distribute(self) -> None:
        """Divide all later computations among the devices, if there are several."""
        if self.count() > 1:
            devices = keras.distribution.list_devices()[: self.count()]
            keras.distribution.set_distribution(
                keras.distribution.DataParallel(devices=devices, auto_shard_dataset=False)
            )

    @contextlib.contextmanager
    def on_one_device(self) -> Iterator[None]:
        """Compute without distribution inside this context."""
        distribution = keras.distribution.distribution()
        if distribution is None:
            yield
            return
        keras.distribution.set_distribution(None)
        try:
            yield
        finally:
            keras.distribution.set_distribution(distribution)


def join(address: str | None, processes: int | None, process: int | None) -> None:
    """Join this process to the other processes of a training on several machines.

    Call it before anything runs on a device. JAX detects all three arguments itself on Slurm and in
    the indexed jobs of Kubernetes: pass `None` there.

    Args:
        address: host and port of the first process, such as `"10.0.0.1:1234"`.
        processes: number of processes.
        process: index of this process.

    Raises:
        ValueError: on another backend than JAX.
    """
    backend = keras.backend.backend()
    if backend != "jax":
        remedy = "start the command by torchrun" if backend == "torch" else "set KERAS_BACKEND=jax"
        raise ValueError(f"`--join` is for JAX: {remedy}. Received: KERAS_BACKEND={backend}")
    import jax

    jax.distributed.initialize(address, processes, process)


def join_from_text(text: str) -> None:
    """Join this process to the others, as `join`, with the arguments as one text.

    Args:
        text: `"auto"`, or `"host:port,processes,index"`.

    Raises:
        ValueError: if the text has another form, or the backend is not JAX.
    """
    if text == "auto":
        join(None, None, None)
        return
    try:
        address, processes, process = text.split(",")
        counts = int(processes), int(process)
    except ValueError as error:
        raise ValueError(
            "The processes to join must be 'auto' or 'host:port,processes,index', such as "
            f"'10.0.0.1:1234,4,0'. Received: {text!r}"
        ) from error
    join(address, *counts)
