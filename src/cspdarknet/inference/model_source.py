"""The models that a `Predictor` takes, and the choice of the runtime that runs one."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet._prefetch import thread_pool
from cspdarknet.detections import DetectionOptions
from cspdarknet.inference.runtimes import (
    FILES,
    PRECISIONS,
    Runtime,
    RuntimeOptions,
    is_installed,
)
from cspdarknet.model_info import is_exported_file, read_model_info
from cspdarknet.preprocessing import DEFAULT_IMAGE_SIZE

TIMED_ROUNDS = 7


def file_runtimes(path: str | Path) -> list[str]:
    """Return the installed runtimes for an exported file, the preferred one first.

    An int8 file is written for ONNX Runtime as `.onnx` and for OpenVINO as `.xml`: OpenVINO would
    run the former with a loss of accuracy.
    """
    path = Path(path)
    names = [name for name in FILES if path.suffix in FILES[name] and is_installed(name)]
    info = read_model_info(path) if path.suffix == ".onnx" else None
    if info is not None and info.precision == "int8":
        names = [name for name in names if name != "openvino"]
    return names


def graph_runtimes(precision: str) -> list[str]:
    """Return the installed runtimes for a Keras model in a precision, the preferred one first."""
    modules = {
        "openvino": ("openvino", "onnx"),
        "onnxruntime": ("onnxruntime", "onnx"),
        "keras": (),
    }
    if precision == "int8":
        modules["openvino"] += ("nncf",)
    return [name for name in PRECISIONS[precision] if is_installed(*modules[name])]


class ExportedFile:
    """A file that `export` wrote.

    Args:
        path: the file.
        runtime_options: options of the runtime.
        **fixed: arguments that are fixed in an exported file, by name; all must be `None`.

    Raises:
        ValueError: if there is no such file, or one of the fixed arguments is given.
    """

    def __init__(self, path: str | Path, runtime_options: RuntimeOptions, **fixed: Any) -> None:
        if not Path(path).is_file():
            raise ValueError(f"There is no file {path}.")
        if given := [name for name, value in fixed.items() if value is not None]:
            raise ValueError(
                f"{', '.join(f'`{name}`' for name in given)} must be left out for an exported "
                f"file, in which it is fixed. Received: {path}. Leave it out, or export again."
            )
        self.path = Path(path)
        self.runtime_options = runtime_options

    @property
    def runtimes(self) -> list[str]:
        """The installed runtimes that can run it, the preferred one first."""
        able = PRECISIONS[self.runtime_options.precision]
        return [name for name in file_runtimes(self.path) if name in able]

    def start(self, runtime: str) -> Runtime:
        """Start a runtime on the file.

        Raises:
            ValueError: if the runtime cannot run it.
        """
        if self.path.suffix not in FILES[runtime]:
            kinds = " and ".join(FILES[runtime]) + " files" if FILES[runtime] else "Keras models"
            raise ValueError(f"The runtime {runtime!r} takes {kinds}. Received: {self.path}")
        started = self.runtime_options.start(runtime, self.path)
        precision = started.info.precision
        if precision == "int8" and runtime == "openvino" and self.path.suffix == ".onnx":
            raise ValueError(
                f"{self.path} is an int8 file for ONNX Runtime, with which OpenVINO would lose "
                "accuracy. Received: runtime='openvino': use 'onnxruntime', or export a .xml file."
            )
        if self.runtime_options.precision == "int8" and precision != "int8":
            raise ValueError(
                f"{self.path} is in {precision}. Received: precision='int8': export it in int8."
            )
        return started


@dataclass(frozen=True)
class KerasModel:
    """A Keras model, which is converted to an ONNX graph for the other runtimes.

    Attributes:
        model: a backbone, its `feature_pyramid()`, an `ImageClassifier` or a `YOLOXDetector`.
        runtime_options: options of the runtime.
        options: detectors: the `DetectionOptions`.
        calibration: images for int8.
        sizes: arguments of `preprocessor` for the calibration images.
    """

    model: Any
    runtime_options: RuntimeOptions
    options: DetectionOptions | None
    calibration: str | Path | Sequence[Any] | None
    sizes: dict[str, int | None]

    @property
    def runtimes(self) -> list[str]:
        """The installed runtimes that can run it, the preferred one first."""
        return graph_runtimes(self.runtime_options.precision)

    def start(self, runtime: str) -> Runtime:
        """Start a runtime on the model."""
        if runtime == "keras":
            from cspdarknet.inference.keras_runtime import KerasRuntime

            return KerasRuntime(self.model, self.options)
        return self.runtime_options.start(runtime, self._graph(runtime))

    def _graph(self, runtime: str) -> Any:
        """Return the bytes of an ONNX graph, or an `openvino.Model` in int8."""
        from cspdarknet.export.inference_graph import inference_graph
        from cspdarknet.export.onnx.model import onnx_for_runtime

        graph, info = inference_graph(self.model, options=self.options)
        info = replace(info, precision=self.runtime_options.precision)
        model = onnx_for_runtime(graph, info, runtime, self.calibration, **self.sizes)
        return model.SerializeToString() if hasattr(model, "SerializeToString") else model


ModelSource = ExportedFile | KerasModel


def model_source(
    model: Any,
    runtime_options: RuntimeOptions,
    levels: Sequence[str | int] | None,
    calibration: Any,
    sizes: dict[str, int | None],
    options: DetectionOptions | None,
) -> ModelSource:
    """Return the model in the form that runtimes are started on; arguments as in `Predictor`.

    Raises:
        ValueError: if an argument does not fit the model.
    """
    if is_exported_file(model):
        return ExportedFile(
            model, runtime_options, levels=levels, calibration=calibration, options=options
        )
    from cspdarknet.export.calibration import MAX_IMAGES, check_calibration
    from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector, load_model

    check_calibration(runtime_options.precision, calibration)
    if calibration is not None and not isinstance(calibration, (str, Path)):
        calibration = list(islice(calibration, MAX_IMAGES))  # an iterator serves several runtimes
    if isinstance(model, (str, Path)):
        model = load_model(model, None if levels is None else "features")
    if isinstance(model, YOLOXDetector):
        options = replace(options or DetectionOptions(), image_size=sizes["image_size"])
    if levels is not None:
        if not isinstance(model, CSPDarkNetBackbone):
            raise ValueError(f"`levels` are for backbones. Received: a {type(model).__name__}")
        model = model.feature_pyramid(levels)
    return KerasModel(model, runtime_options, options, calibration, sizes)


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
            f"in {source.runtime_options.precision}: run `pip install 'cspdarknet[openvino]'`."
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
