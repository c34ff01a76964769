"""Several devices and several machines.

On JAX the photos of each batch are shared among all devices, by `keras.distribution`; batch-norm
statistics are those of the whole batch, so that N devices compute what one computes. Keras has no
distribution on PyTorch; on TensorFlow, call `train_classifier` inside a strategy's scope.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import keras


def join(address: str | None, processes: int | None, process: int | None) -> None:
    """Join this process to the others of a training on several machines (JAX).

    Call it before anything runs on a device. On Slurm and on Kubernetes' indexed jobs, JAX finds
    all three by itself.

    Args:
        address: host and port of the first process, such as `"10.0.0.1:1234"`.
        processes: how many there are.
        process: index of this one.

    Raises:
        ValueError: on another backend than JAX.
    """
    if keras.backend.backend() != "jax":
        raise ValueError(
            "Training on several machines needs the JAX backend: set KERAS_BACKEND=jax. "
            f"The backend is {keras.backend.backend()}."
        )
    import jax

    jax.distributed.initialize(address, processes, process)


def join_from_text(text: str) -> None:
    """Join as the command line says: `"auto"`, or `"host:port,processes,index"`.

    Raises:
        ValueError: if the text is of another form.
    """
    if text == "auto":
        join(None, None, None)
        return
    try:
        address, processes, process = text.split(",")
        place = int(processes), int(process)
    except ValueError as error:
        raise ValueError(
            f"Expected 'auto' or 'host:port,processes,index', such as '10.0.0.1:1234,4,0'. "
            f"Received: {text!r}"
        ) from error
    join(address, *place)


def prepare() -> None:
    """Share all later work among the devices, where there are several (JAX)."""
    if keras.backend.backend() != "jax" or len(_devices()) < 2:
        return
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    keras.distribution.set_distribution(distribution)


def process_share() -> tuple[int, int]:
    """Return the index of this process, and how many there are."""
    if keras.backend.backend() != "jax":
        return 0, 1
    import jax

    return jax.process_index(), jax.process_count()


def is_first_process() -> bool:
    """Whether this process writes the files."""
    return process_share()[0] == 0


def check_batch_size(batch_size: int) -> None:
    """Refuse a batch that the devices cannot share evenly.

    Raises:
        ValueError: if it is no multiple of the number of devices.
    """
    count = len(_devices()) if keras.backend.backend() == "jax" else 1
    if batch_size % count:
        raise ValueError(
            f"The batch of {batch_size} photos cannot be shared evenly among {count} devices: "
            f"choose a multiple of {count}."
        )


@contextlib.contextmanager
def on_one_device() -> Iterator[None]:
    """Compute without a distribution, for small work that every process does by itself."""
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
