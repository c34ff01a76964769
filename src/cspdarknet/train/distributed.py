"""Data-parallel training on several devices and several machines (JAX).

`keras.distribution` divides each batch among all devices. Batch-normalization statistics are those
of the whole batch, so that N devices compute what one device computes. Keras has no distribution on
PyTorch; on TensorFlow, call `train_classifier` inside the scope of a `tf.distribute` strategy.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras


def join(address: str | None, processes: int | None, process: int | None) -> None:
    """Join this process to the other processes of a training on several machines (JAX).

    Call it before anything runs on a device. JAX detects all three arguments itself on Slurm and in
    the indexed jobs of Kubernetes: pass `None` there.

    Args:
        address: host and port of the first process, such as `"10.0.0.1:1234"`.
        processes: number of processes.
        process: index of this process.

    Raises:
        ValueError: on another backend than JAX.
    """
    if keras.backend.backend() != "jax":
        raise ValueError(
            "Training on several machines needs the JAX backend: set KERAS_BACKEND=jax. "
            f"Received: KERAS_BACKEND={keras.backend.backend()}"
        )
    import jax

    jax.distributed.initialize(address, processes, process)


def device_name() -> str:
    """Return the kind of device that the backend computes on, such as `"cpu"` or `"gpu"`."""
    device = str(keras.ops.zeros(()).device).lower()  # each backend writes it in its own form
    kinds = {"cuda": "gpu", "gpu": "gpu", "tpu": "tpu", "mps": "mps", "xpu": "xpu"}
    return next((name for part, name in kinds.items() if part in device), "cpu")


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


def distribute() -> None:
    """Divide all later computations among the devices, if there are several (JAX)."""
    if keras.backend.backend() == "jax" and len(_devices()) > 1:
        distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
        keras.distribution.set_distribution(distribution)


def process_index_and_count() -> tuple[int, int]:
    """Return the index of this process, and the number of processes."""
    if keras.backend.backend() != "jax":
        return 0, 1
    import jax

    return jax.process_index(), jax.process_count()


def is_first_process() -> bool:
    """Whether this process writes the files of the run."""
    return process_index_and_count()[0] == 0


def check_batch_size(batch_size: int) -> None:
    """Check that a batch can be divided evenly among the devices.

    Raises:
        ValueError: if its size is not a multiple of the number of devices.
    """
    devices = len(_devices()) if keras.backend.backend() == "jax" else 1
    if batch_size % devices:
        raise ValueError(
            f"`batch_size` must be a multiple of {devices}, the number of devices. "
            f"Received: batch_size={batch_size}"
        )


@contextlib.contextmanager
def on_one_device() -> Iterator[None]:
    """Compute without distribution inside this context, as for evaluations and for saving."""
    if keras.backend.backend() != "jax" or keras.distribution.distribution() is None:
        yield
        return
    distribution = keras.distribution.distribution()
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)


def _devices() -> list[Any]:
    import jax

    return list(jax.devices())
