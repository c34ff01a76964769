"""The choice of the runtime that runs a model: a given one, the preferred, or the fastest."""

import math
import time

import numpy as np

from cspdarknet._arguments import check_choice
from cspdarknet._image_size import ImageSize, sides
from cspdarknet._prefetch import thread_pool
from cspdarknet.inference.devices import runtimes_for
from cspdarknet.inference.model_source import ModelSource
from cspdarknet.inference.runtimes import MODES, PRECISIONS, RUNTIMES, Runtime
from cspdarknet.preprocessing import DEFAULT_IMAGE_SIZE

TIMED_ROUNDS = 7


def check_choices(runtime: str | None, precision: str, mode: str) -> None:
    """Check the names of a runtime, a precision and a mode, and that they fit each other.

    Raises:
        ValueError: if one is unknown, or the runtime does not compute in the precision.
    """
    if runtime is not None:
        check_choice("runtime", runtime, (*RUNTIMES, "fastest"))
    check_choice("precision", precision, tuple(PRECISIONS))
    check_choice("mode", mode, MODES)
    names = PRECISIONS[precision]
    if runtime not in (*names, "fastest", None):
        raise ValueError(
            f"precision={precision!r} is for {' and '.join(names)}. Received: runtime={runtime!r}"
        )


def start_runtime(
    source: ModelSource, runtime: str | None, batch_size: int, image_size: ImageSize | None
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
        ValueError: if none computes on the device.
    """
    if runtime not in (None, "fastest"):
        return runtime, source.start(runtime)
    options = source.settings.runtime
    names = runtimes_for(options.device, source.runtimes)
    if not names:
        raise ImportError(
            "No installed runtime can run the model "
            f"in {options.precision}: run `pip install 'cspdarknet[openvino]'`."
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


def _seconds_per_batch(runtime: Runtime, batch_size: int, image_size: ImageSize | None) -> float:
    """Return the seconds that a batch takes while all streams of a runtime are busy."""
    info = runtime.info
    size = sides(image_size or info.image_size or DEFAULT_IMAGE_SIZE)
    default = (*size, info.channels)
    if info.data_format == "channels_first":
        default = (info.channels, *size)
    shape = [given or own for given, own in zip(runtime.input_shape[1:], default, strict=True)]
    images = np.random.default_rng(0).integers(0, 256, (batch_size, *shape)).astype(info.inputs)
    rounds = []
    with thread_pool(runtime.streams) as pool:
        for _ in range(TIMED_ROUNDS):
            start = time.perf_counter()
            list(pool.map(runtime.run, [images] * runtime.streams))
            rounds.append(time.perf_counter() - start)
    return min(rounds) / runtime.streams
