"""The models that a `Predictor` takes, in the form that runtimes are started on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from cspdarknet._image_size import ImageSize
from cspdarknet.detections import DetectionOptions
from cspdarknet.export.calibration import MAX_IMAGES, check_calibration
from cspdarknet.inference.devices import check_device
from cspdarknet.inference.runtimes import (
    FILES,
    PRECISIONS,
    Runtime,
    RuntimeOptions,
    is_installed,
)
from cspdarknet.model_info import is_exported_file, read_model_info


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


@dataclass(frozen=True)
class ModelSettings:
    """The arguments of a `Predictor` that decide on the graph and its runtime.

    Attributes:
        runtime: options of the runtime.
        levels: backbones: pyramid levels.
        calibration: images for int8.
        image_size: side in pixels of the square that the model takes, or its height and width.
        longer_side: maximum length of an image's longer side.
        options: detectors: the `DetectionOptions`.
    """

    runtime: RuntimeOptions
    levels: Sequence[str | int] | None = None
    calibration: Any = None
    image_size: ImageSize | None = None
    longer_side: int | None = None
    options: DetectionOptions | None = None


class ModelSource(Protocol):
    """Interface of a model that runtimes can be started on.

    Attributes:
        settings: the settings.
    """

    settings: ModelSettings

    @property
    def runtimes(self) -> list[str]:
        """The installed runtimes that can run it, the preferred one first."""

    def start(self, runtime: str) -> Runtime:
        """Start a runtime on it."""


class ExportedFile:
    """A file that `export` wrote.

    Args:
        path: the file.
        settings: the settings, without those that are fixed in an exported file.

    Raises:
        ValueError: if there is no such file, or a setting is fixed in it.
    """

    def __init__(self, path: str | Path, settings: ModelSettings) -> None:
        if not Path(path).is_file():
            raise ValueError(f"There is no file {path}.")
        fixed = ("levels", "calibration", "options")
        if given := [name for name in fixed if getattr(settings, name) is not None]:
            raise ValueError(
                f"{', '.join(f'`{name}`' for name in given)} must be left out for an exported "
                f"file, in which it is fixed. Received: {path}. Leave it out, or export again."
            )
        self.path = Path(path)
        self.settings = settings

    @property
    def runtimes(self) -> list[str]:
        """The installed runtimes that can run it, the preferred one first."""
        able = PRECISIONS[self.settings.runtime.precision]
        return [name for name in file_runtimes(self.path) if name in able]

    def start(self, runtime: str) -> Runtime:
        """Start a runtime on the file.

        Raises:
            ValueError: if the runtime cannot run it.
        """
        if self.path.suffix not in FILES[runtime]:
            kinds = " and ".join(FILES[runtime]) + " files" if FILES[runtime] else "Keras models"
            raise ValueError(f"The runtime {runtime!r} takes {kinds}. Received: {self.path}")
        started = self.settings.runtime.start(runtime, self.path)
        precision = started.info.precision
        if precision == "int8" and runtime == "openvino" and self.path.suffix == ".onnx":
            raise ValueError(
                f"{self.path} is an int8 file for ONNX Runtime, with which OpenVINO would lose "
                "accuracy. Received: runtime='openvino': use 'onnxruntime', or export a .xml file."
            )
        if self.settings.runtime.precision == "int8" and precision != "int8":
            raise ValueError(
                f"{self.path} is in {precision}. Received: precision='int8': export it in int8."
            )
        return started


class KerasModel:
    """A Keras model, which is converted to an ONNX graph for the other runtimes.

    Args:
        model: a backbone, its `feature_pyramid()`, an `ImageClassifier` or a `YOLOXDetector`.
        settings: the settings.

    Raises:
        ValueError: if a setting does not fit the model.
    """

    def __init__(self, model: Any, settings: ModelSettings) -> None:
        from cspdarknet.models import CSPDarkNetBackbone, YOLOXDetector

        self.settings, self.options = settings, settings.options
        if isinstance(model, YOLOXDetector):
            options = settings.options or DetectionOptions()
            self.options = replace(options, image_size=settings.image_size)
        if settings.levels is not None:
            if not isinstance(model, CSPDarkNetBackbone):
                raise ValueError(f"`levels` are for backbones. Received: a {type(model).__name__}")
            model = model.feature_pyramid(settings.levels)
        self.model = model

    @property
    def runtimes(self) -> list[str]:
        """The installed runtimes that can run it, the preferred one first."""
        return graph_runtimes(self.settings.runtime.precision)

    def start(self, runtime: str) -> Runtime:
        """Start a runtime on the model."""
        if runtime == "keras":
            from cspdarknet.inference.keras_runtime import KerasRuntime

            check_device(self.settings.runtime.device, runtime)
            return KerasRuntime(self.model, self.options)
        return self.settings.runtime.start(runtime, self.graph(runtime))

    def graph(self, runtime: str) -> Any:
        """Return the bytes of an ONNX graph, or an `openvino.Model` in int8."""
        from cspdarknet.export.inference_graph import inference_graph, pixels_dtype
        from cspdarknet.export.onnx.model import onnx_for_runtime

        settings = self.settings
        sizes: dict[str, Any] = {
            "image_size": settings.image_size,
            "longer_side": settings.longer_side,
        }
        # Keras's NumPy backend computes with arbitrary numbers to know the shapes of a graph.
        with np.errstate(all="ignore"):
            inputs = pixels_dtype(self.model)
            graph, info = inference_graph(self.model, inputs=inputs, options=self.options)
            info = replace(info, precision=settings.runtime.precision)
            model = onnx_for_runtime(graph, info, runtime, settings.calibration, **sizes)
        return model.SerializeToString() if hasattr(model, "SerializeToString") else model


def model_source(model: Any, settings: ModelSettings) -> ModelSource:
    """Return a model in the form that runtimes are started on.

    Args:
        model: as in `Predictor`.
        settings: the other arguments of `Predictor`.

    Raises:
        ValueError: if a setting does not fit the model.
    """
    if is_exported_file(model):
        return ExportedFile(model, settings)
    calibration = settings.calibration
    check_calibration(settings.runtime.precision, calibration)
    if calibration is not None and not isinstance(calibration, (str, Path)):
        images = list(islice(calibration, MAX_IMAGES))  # an iterator serves several runtimes
        settings = replace(settings, calibration=images)
    if not isinstance(model, (str, Path)):
        return KerasModel(model, settings)
    from cspdarknet.inference.named_model import NamedModel

    return NamedModel(model, settings)
