"""The choice of the runtime that runs a model: a given one, the preferred, or the fastest."""

import math
import time

import numpy as np

from cspdarknet._prefetch import thread_pool
from cspdarknet.inference.model_source import ModelSource
from cspdarknet.inference.runtimes import Runtime
from cspdarknet.preprocessing import DEFAULT_IMAGE_SIZE

TIMED_ROUNDS = 7


def start_runtime(
    source: ModelSource, runtime: str | None, batch_size: int, image_size: int | None
) -> tuple[str, Runtime]:
    """Start a runtime on a model.

    Args:
        source: the model.
        runtime: name of the runtime; `None` for the preferred one of those that are installed, or
            `"fastest"` to measure them.
        batch_size: batch size to measure with.
        image_size: image size to measure with; `None` for the model's own.

    Returns:
        The name of the runtime, and the runtime.

    Raises:
        ImportError: if the runtime is not installed, or none that can run the model.
    """
    if runtime not in (None, "fastest"):
        return runtime, source.start(runtime)
    names = source.runtimes
    if not names:
        raise ImportError(
            "No installed runtime can run the model "
            f"in {source.settings.runtime.precision}: run `pip install 'cspdarknet[openvino]'`."
        )
    if runtime is None:
        return names[0], source.start(names[0])
    fastest: tuple[str, Runtime] | None = None
    least = math.inf
    for name in names:
        started = source.start(name)
        seconds = _seconds_per_batch(started, batch_size, image_size)
        if fastest is None or seconds < least:
            least, fastest = seconds, (name, started)
    assert fastest is not None
    return fastest


def _seconds_per_batch(runtime: Runtime, batch_size: int, image_size: int | None) -> float:
    """Return the seconds that a batch takes while all streams of a runtime are busy."""
    info = runtime.info
    size = image_size or info.image_size or DEFAULT_IMAGE_SIZE
    shape = [given or size for given in runtime.input_shape[1:]]
    images = np.random.default_rng(0).integers(0, 256, (batch_size, *shape)).astype(info.inputs)
    rounds = []
    with thread_pool(runtime.streams) as pool:
        for _ in range(TIMED_ROUNDS):
            start = time.perf_counter()
            list(pool.map(runtime.run, [images] * runtime.streams))
            rounds.append(time.perf_counter() - start)
    return min(rounds) / runtime.streams
