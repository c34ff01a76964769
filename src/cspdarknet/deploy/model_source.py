"""What a user may name as a model, and how each runtime is started on it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cspdarknet.deploy.description import KEY
from cspdarknet.deploy.runtimes import FILES, PRECISIONS, Runtime, Settings, is_installed

CALIBRATION_PHOTOS = 128
METADATA_BYTES = 2**20


def is_model_file(model: Any) -> bool:
    """Whether this names a file that `export` writes and a runtime reads."""
    if not isinstance(model, (str, Path)) or Path(model).suffix not in FILES["openvino"]:
        return False
    return Path(model).suffix == ".xml" or not _is_checkpoint(Path(model))


def default_runtime(model: Any) -> str:
    """Return OpenVINO where it is installed; else what is left for a file, or for a Keras model."""
    if is_model_file(model):
        return "openvino" if is_installed("openvino") else "onnxruntime"
    return "openvino" if is_installed("openvino", "onnx") else "keras"


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
        return [name for name in able if self.path.suffix in FILES[name] and is_installed(name)]

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
        able = PRECISIONS[self.settings.precision]
        return [name for name in able if name == "keras" or is_installed(name, "onnx")]

    def start(self, runtime: str) -> Runtime:
        """Start a runtime on it."""
        if runtime == "keras":
            from cspdarknet.deploy.keras_runtime import KerasRuntime

            return KerasRuntime(self.model, **self.how)
        return self.settings.start(runtime, self._graph(runtime))

    def _graph(self, runtime: str) -> Any:
        from cspdarknet.deploy.inference_graph import inference_graph
        from cspdarknet.deploy.onnx_model import write_onnx

        graph, description = inference_graph(self.model, **self.how)
        proto = write_onnx(graph, replace(description, precision=self.settings.precision))
        if self.settings.precision != "int8":
            return proto.SerializeToString()
        from cspdarknet.deploy.calibration import calibration_images
        from cspdarknet.deploy.quantization import quantize

        if self.calibration is None:
            raise ValueError(
                "precision='int8' needs `calibration`: a hundred photos like those to come, as a "
                "folder or a list. Received: calibration=None"
            )
        images = calibration_images(self.calibration, description, **self.sizes)
        quantized = quantize(proto, images, runtime)
        return quantized if runtime == "openvino" else quantized.SerializeToString()


def _is_checkpoint(path: Path) -> bool:
    """Whether an ONNX file is of another origin, such as weights that `from_preset` reads."""
    if not path.is_file():
        return False
    with path.open("rb") as file:  # the metadata come last
        file.seek(max(0, path.stat().st_size - METADATA_BYTES))
        return KEY.encode() not in file.read()
