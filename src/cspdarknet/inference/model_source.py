"""What a user may name as a model, and how each runtime is started on it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cspdarknet.inference.runtimes import FILES, PRECISIONS, Runtime, Settings, is_installed
from cspdarknet.model_info import is_exported_file, read_model_info


def default_runtime(model: Any) -> str:
    """Return OpenVINO where it is installed; else what is left for a file, or for a Keras model."""
    if is_exported_file(model):
        return next(iter(file_runtimes(model)), "onnxruntime")
    return "openvino" if is_installed("openvino", "onnx") else "keras"


def file_runtimes(path: str | Path) -> list[str]:
    """Return the installed runtimes that an exported file is for.

    One in int8 is written for ONNX Runtime as `.onnx` and for OpenVINO as `.xml`; OpenVINO would
    run the former, and find less in it.
    """
    path = Path(path)
    able = [name for name in FILES if path.suffix in FILES[name] and is_installed(name)]
    about = read_model_info(path) if path.suffix == ".onnx" else None
    if about is not None and about.precision == "int8":
        able = [name for name in able if name != "openvino"]
    return able


def graph_runtimes(precision: str) -> list[str]:
    """Return the installed runtimes that a Keras model can be given to in a precision."""
    needed = {"keras": (), "openvino": ("openvino", "onnx"), "onnxruntime": ("onnxruntime", "onnx")}
    if precision == "int8":
        needed["openvino"] += ("nncf",)
    return [name for name in PRECISIONS[precision] if is_installed(*needed[name])]


def has_one_size(model: Any) -> bool:
    """Whether the images of a file or a Keras model have one size, as is known before it runs."""
    if is_exported_file(model):
        about = read_model_info(model)
        return about is not None and about.image_size is not None
    return None not in model.inputs[0].shape[1:]


class ExportedFile:
    """A file that `export` wrote.

    Args:
        path: the file.
        settings: how it is to run.
        **fixed: arguments of a Keras model, which must not be given any more.

    Raises:
        ValueError: if there is no such file, or it cannot be run in this way.
    """

    def __init__(self, path: str | Path, settings: Settings, **fixed: Any) -> None:
        if not Path(path).is_file():
            raise ValueError(f"There is no file {path}.")
        if given := [name for name, value in fixed.items() if value is not None]:
            raise ValueError(
                f"{', '.join(given)}: settled when a model is exported. Received beside {path}: "
                "leave it out, or export the model anew."
            )
        self.path = Path(path)
        self.settings = settings

    @property
    def runtimes(self) -> list[str]:
        """Those that can run it and are installed."""
        able = PRECISIONS[self.settings.precision]
        return [name for name in file_runtimes(self.path) if name in able]

    def start(self, runtime: str) -> Runtime:
        """Start a runtime on it."""
        if self.path.suffix not in FILES[runtime]:
            kinds = " and ".join(FILES[runtime]) + " files" if FILES[runtime] else "Keras models"
            raise ValueError(f"The runtime {runtime!r} takes {kinds}. Received: {self.path}")
        started = self.settings.start(runtime, self.path)
        found = started.description.precision
        if found == "int8" and runtime == "openvino" and self.path.suffix == ".onnx":
            raise ValueError(
                f"{self.path} is in int8 for ONNX Runtime; OpenVINO would find less in it. "
                "Received: runtime='openvino': use 'onnxruntime', or export a .xml file."
            )
        if self.settings.precision == "int8" and found != "int8":
            raise ValueError(
                f"{self.path} is in {found}. Received: precision='int8': export it in int8."
            )
        return started


@dataclass(frozen=True)
class KerasModel:
    """A Keras model, which is written as an ONNX graph for the other runtimes.

    Attributes:
        model: a backbone, its pyramid, an `ImageClassifier` or a `YOLOXDetector`.
        settings: how it is to run.
        how: arguments of `build_onnx`.
        calibration: photos for int8.
        sizes: arguments of `preparation`, for these photos.
    """

    model: Any
    settings: Settings
    how: dict[str, Any]
    calibration: str | Path | Sequence[Any] | None
    sizes: dict[str, int | None]

    @property
    def runtimes(self) -> list[str]:
        """Those that can run it and are installed."""
        return graph_runtimes(self.settings.precision)

    def start(self, runtime: str) -> Runtime:
        """Start a runtime on it."""
        if runtime == "keras":
            from cspdarknet.inference.keras_runtime import KerasRuntime

            return KerasRuntime(self.model, **self.how)
        return self.settings.start(runtime, self._graph(runtime))

    def _graph(self, runtime: str) -> Any:
        from cspdarknet.export.inference_graph import inference_graph
        from cspdarknet.export.onnx.model import write_onnx

        graph, description = inference_graph(self.model, **self.how)
        description = replace(description, precision=self.settings.precision)
        proto = write_onnx(graph, description, runtime)
        if self.settings.precision != "int8":
            return proto.SerializeToString()
        from cspdarknet.export.calibration import calibration_images
        from cspdarknet.export.quantization import quantize

        if self.calibration is None:
            raise ValueError(
                "precision='int8' needs `calibration`: a hundred photos like those to come, as a "
                "folder or a list. Received: calibration=None"
            )
        images = calibration_images(self.calibration, description, **self.sizes)
        quantized = quantize(proto, images, runtime)
        return quantized if runtime == "openvino" else quantized.SerializeToString()
