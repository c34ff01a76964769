"""Inference speed of a model on each installed runtime, in each precision."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._extras import require
from cspdarknet._image_size import ImageSize, sides
from cspdarknet.inference.model_source import file_runtimes, graph_runtimes
from cspdarknet.inference.predictor import Predictor
from cspdarknet.inference.runtimes import PRECISIONS, is_installed
from cspdarknet.model_info import ModelInfo, is_exported_file, read_model_info
from cspdarknet.preprocessing import DEFAULT_IMAGE_SIZE

ROUNDS = 5
PEAK_SIDE = 1536  # of the matrices whose product is timed for the peak
CALIBRATION_IMAGES = 4


@dataclass(frozen=True)
class RuntimeSpeed:
    """The speed of a runtime in a precision.

    Attributes:
        runtime: name of the runtime.
        precision: precision that it computes in.
        seconds: median time of a batch.
    """

    runtime: str
    precision: str
    seconds: float


@dataclass(frozen=True)
class SpeedComparison:
    """The speed of a model on several runtimes.

    Attributes:
        speeds: the runtimes and precisions, the fastest first.
        image_size: side of the images in pixels, or height and width.
        peak: FLOP/s of a large matrix product in float32 on this machine.
        flops: FLOPs of a batch, or `None` where they cannot be counted.
    """

    speeds: tuple[RuntimeSpeed, ...]
    image_size: ImageSize
    peak: float
    flops: int | None

    def fraction_of_peak(self, speed: RuntimeSpeed) -> float | None:
        """Return FLOP/s as a fraction of the peak."""
        return None if self.flops is None else self.flops / speed.seconds / self.peak


def benchmark_runtimes(
    model: str | Path,
    *,
    batch_size: int = 1,
    image_size: ImageSize | None = None,
    seconds: float = 3.0,
    threads: int | None = None,
    on_step: Callable[[str], object] = str,
) -> SpeedComparison:
    """Measure the speed of a model on each installed runtime, in each precision.

    The runtimes take turns with a large matrix product. Images are noise, and so is the calibration
    of int8: only the speed is measured.

    Args:
        model: anything that `load_model` takes, or an exported file.
        batch_size: batch size.
        image_size: side of the images in pixels, or a pair (height, width); `None` for the model's
            own, or 224.
        seconds: time for each runtime and precision.
        threads: number of threads of OpenVINO and ONNX Runtime; `None` for all.
        on_step: called with a text about each step, for a progress display.

    Raises:
        ValueError: if `seconds` is not positive.
        ImportError: if no runtime for an exported file is installed.
    """
    if not seconds > 0:
        raise ValueError(f"`seconds` must be greater than 0. Received: seconds={seconds}")
    source, variants = _source(model)
    timers = []
    for runtime, precision in variants:
        on_step(f"starting {runtime}, {precision}")
        predictor = _start(source, runtime, precision, image_size, threads)
        size = image_size or predictor.info.image_size or DEFAULT_IMAGE_SIZE
        timers.append(_Timer(_batch_run(predictor, batch_size, size)))
    peak = _Timer(_matrix_product())
    for timer in (*timers, peak):
        timer.run()  # a first run is slower
    on_step("measuring")
    for _ in range(ROUNDS):
        for timer in (*timers, peak):
            timer.measure(seconds / ROUNDS)
    speeds = [
        RuntimeSpeed(*variant, statistics.median(timer.times))
        for variant, timer in zip(variants, timers, strict=True)
    ]
    return SpeedComparison(
        tuple(sorted(speeds, key=lambda speed: speed.seconds)),
        size,
        2 * PEAK_SIDE**3 / min(peak.times),
        _flops(source, predictor.info, batch_size, size),
    )


@dataclass
class _Timer:
    """A function, and the seconds of its calls."""

    run: Callable[[], object]
    times: list[float] = field(default_factory=list)

    def measure(self, seconds: float) -> None:
        """Call the function for about this time, at least once."""
        start = now = time.perf_counter()
        while now < start + seconds:
            self.run()
            before, now = now, time.perf_counter()
            self.times.append(now - before)


def _source(model: str | Path) -> tuple[Any, list[tuple[str, str]]]:
    """Return what a `Predictor` takes, and the runtimes and precisions to start it in."""
    if not is_exported_file(model):
        from cspdarknet.models import load_model

        variants = [(name, kind) for kind in PRECISIONS for name in graph_runtimes(kind)]
        return load_model(model), _without_bfloat16(variants)
    names = file_runtimes(model)
    if not names:
        raise ImportError(
            f"No runtime for {model} is installed: run "
            "`pip install 'cspdarknet[openvino,onnxruntime]'`."
        )
    info = read_model_info(model)
    is_int8 = info is not None and info.precision == "int8"
    precisions = ["int8"] if is_int8 else ["float32", "bfloat16"]
    variants = [(name, kind) for kind in precisions for name in names if name in PRECISIONS[kind]]
    return model, _without_bfloat16(variants)


def _without_bfloat16(variants: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave bfloat16 out where the CPU does not support it."""
    if not any(precision == "bfloat16" for _, precision in variants):
        return variants
    openvino: Any = require("openvino", "openvino", "The runtime 'openvino'")
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        return variants
    return [(runtime, precision) for runtime, precision in variants if precision != "bfloat16"]


def _start(
    source: Any, runtime: str, precision: str, image_size: ImageSize | None, threads: int | None
) -> Predictor:
    calibration = None
    if precision == "int8" and not is_exported_file(source):
        shape = (CALIBRATION_IMAGES, DEFAULT_IMAGE_SIZE, DEFAULT_IMAGE_SIZE, source.channels)
        calibration = list(np.random.default_rng(0).integers(0, 256, shape, "uint8"))
    return Predictor(
        source,
        runtime=runtime,
        precision=precision,
        image_size=image_size,
        threads=threads,
        calibration=calibration,
    )


def _batch_run(
    predictor: Predictor, batch_size: int, image_size: ImageSize
) -> Callable[[], object]:
    shape = (batch_size, *sides(image_size), predictor.info.channels)
    images = np.random.default_rng(0).integers(0, 256, shape, "uint8")
    return lambda: predictor.run(images)


def _matrix_product() -> Callable[[], object]:
    a, b = np.random.default_rng(0).random((2, PEAK_SIDE, PEAK_SIDE), "float32")
    return lambda: a @ b


def _flops(source: Any, info: ModelInfo, batch_size: int, image_size: ImageSize) -> int | None:
    """Return the FLOPs of a batch, or `None` without the onnx package or for an .xml file."""
    if not is_installed("onnx") or str(source).endswith(".xml"):
        return None
    from cspdarknet.export.onnx.flops import count_flops

    size = sides(image_size)
    is_channels_first = info.data_format == "channels_first"
    shape = (batch_size, *size, info.channels)
    if is_channels_first:
        shape = (batch_size, info.channels, *size)
    try:
        return count_flops(_onnx_graph(source, info), shape)
    except ValueError:  # the shapes depend on the content of the images
        return None


def _onnx_graph(source: Any, info: ModelInfo) -> Any:
    """Return a file or a Keras model as an ONNX graph, a detector without box decoding and NMS."""
    if is_exported_file(source):
        import onnx

        return onnx.load(source)
    from cspdarknet.export import build_onnx

    return build_onnx(source, raw_outputs=info.task == "detection")
