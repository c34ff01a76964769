"""Write a model as a file that other software runs, and check at once that it computes the same."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cspdarknet._extras import require
from cspdarknet.export import keras_formats
from cspdarknet.export.calibration import calibration_images
from cspdarknet.export.inference_graph import inference_graph
from cspdarknet.export.onnx.float16 import halve
from cspdarknet.export.onnx.model import write_onnx
from cspdarknet.export.quantization import quantize
from cspdarknet.export.verification import Difference, compare, sample_images
from cspdarknet.model_info import KEY, ModelInfo

# By the suffix of the file; a SavedModel is a folder.
FORMATS = {
    "onnx": ".onnx",
    "openvino": ".xml",
    "litert": ".tflite",
    "torch": ".pt2",
    "saved_model": "",
}
PRECISIONS = {"float32": 1e-4, "float16": 1e-2, "int8": np.inf}  # and how far results may be off


@dataclass(frozen=True)
class Exported:
    """A file that was written.

    Attributes:
        path: the file; for SavedModel the folder.
        format: one of the formats of `export`.
        description: what it takes and gives.
        bytes: its size, with the files that belong to it.
        difference: how far its results are from those of the Keras model.
    """

    path: Path
    format: str
    description: ModelInfo
    bytes: int
    difference: Difference


def export(
    model: keras.Model,
    path: str | Path,
    format: str | None = None,
    *,
    precision: str = "float32",
    calibration: str | Path | Sequence[Any] | None = None,
    inputs: str = "float32",
    image_size: int | None = None,
    letterbox: bool = False,
    outputs: str = "objects",
    score_threshold: float | None = None,
    iou_threshold: float | None = None,
    max_detections: int | None = None,
    photos: np.ndarray | None = None,
) -> Exported:
    """Write a model, fused, as a file for other software, and compare its results.

    Args:
        model: a backbone, its `feature_pyramid()`, a classifier or a detector.
        path: where to write. It appears whole or not at all.
        format: `"onnx"`, `"openvino"`, `"litert"`, `"torch"` (a PyTorch exported program) or
            `"saved_model"` (TensorFlow); `None` for what the suffix of `path` says: .onnx, .xml,
            .tflite, .pt2, or none for a SavedModel. LiteRT and SavedModel need TensorFlow, .pt2
            needs PyTorch, whatever backend Keras is on.
        precision: `"float32"`; `"float16"`, which halves the file and computes in float32; or
            `"int8"`: both for ONNX and OpenVINO only.
        calibration: for int8: a folder of photos, or a list of paths or arrays
            `(height, width, 3)`, of the kind that the model will see; the first 128 are used.
        inputs: `"float32"`, or `"uint8"`: photos as they come from a decoder, with the rest inside
            the graph.
        image_size: side of the images in pixels; `None` leaves it open, but for a detector with
            `outputs="objects"`, which has one of its own.
        letterbox: of a detector: let the graph take photos of any size and letterbox them itself;
            boxes are then in pixels of the photo.
        outputs: of a detector: `"objects"` to have boxes decoded and suppressed in the graph,
            `"raw"` for what the head says.
        score_threshold: of a detector, in place of the model's.
        iou_threshold: likewise.
        max_detections: likewise.
        photos: images to compare the results on, as the graph takes them; noise by default.

    Returns:
        An `Exported`: the path, its size, and how far results are off.

    Raises:
        ValueError: if arguments do not fit the model or each other, or the results are off by more
            than 1e-4 of the largest in float32, 1e-2 in float16; then no file is left.
        ImportError: if the format needs a package that is missing.

    Example:
        >>> classifier = ImageClassifier.from_preset("csp_darknet_tiny_clothing")
        >>> exported = export(classifier, "garments.onnx", inputs="uint8")
        >>> exported.difference.relative < 1e-4
        True
    """
    path = Path(path)
    kind = _format(path, format)
    _check(path, kind, precision, calibration)
    if image_size is None:
        image_size = keras_formats.fixed_size(kind, model)
    how: dict[str, Any] = {
        "inputs": inputs,
        "image_size": image_size,
        "letterbox": letterbox,
        "outputs": outputs,
        "score_threshold": score_threshold,
        "iou_threshold": iou_threshold,
        "max_detections": max_detections,
    }
    graph, description = inference_graph(model, **how)
    description = replace(description, precision=precision)
    if kind in ("litert", "torch") and letterbox:
        raise ValueError(f"The format {kind} cannot letterbox: do it before. Received: {letterbox}")
    images = sample_images(graph, description) if photos is None else np.asarray(photos, inputs)
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".part-") as folder:
        part = Path(folder) / path.name
        if kind in keras_formats.BACKENDS:
            images = images[: keras_formats.sample_count(kind, description.task)]
            found = keras_formats.write(graph, part, kind, images)
        else:
            proto = write_onnx(graph, description, RUNTIMES[kind])
            batches = None
            if calibration is not None:
                size = None if letterbox else image_size
                batches = calibration_images(calibration, description, image_size=size)
            found = ONNX_FORMATS[kind](proto, precision, batches, part, images)
        difference = compare(graph, images, found, description)
        found_none = difference.objects == (0, 0) and difference.same_objects
        if found_none and kind in ONNX_FORMATS and precision != "int8":
            difference = _compare_all_objects(model, how, kind, precision, images)
        _check_difference(difference, kind, precision)
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        _move(part, path)
    return Exported(path, kind, description, size, difference)


def _format(path: Path, format: str | None) -> str:
    """Return the format: the given one, or that of the file's suffix."""
    by_suffix = {suffix: name for name, suffix in FORMATS.items()}
    found = by_suffix.get(path.suffix) if format is None else format
    if found not in FORMATS or path.suffix != FORMATS[found]:
        wanted = ", ".join(f"{name} ({suffix or 'a folder'})" for name, suffix in FORMATS.items())
        raise ValueError(
            f"The formats are {wanted}, with these suffixes. Received: format={format!r}, "
            f"path={str(path)!r}"
        )
    return found


def _check(path: Path, kind: str, precision: str, calibration: Any) -> None:
    if precision not in PRECISIONS:
        raise ValueError(
            f"`precision` must be one of {tuple(PRECISIONS)}. Received: precision={precision!r}"
        )
    if precision != "float32" and kind in keras_formats.BACKENDS:
        raise ValueError(
            f"precision={precision!r} is for ONNX and OpenVINO. Received: format={kind!r}"
        )
    if (precision == "int8") != (calibration is not None):
        raise ValueError(
            "`calibration` goes with precision='int8': a hundred photos of the kind that the "
            f"model will see. Received: precision={precision!r}, "
            f"calibration={'None' if calibration is None else 'given'}"
        )
    if not _may_replace(path, kind):
        raise ValueError(f"{path} exists and is not what would be written: choose another path.")


def _may_replace(path: Path, kind: str) -> bool:
    """Whether what is at a path, if anything, is an earlier export of the kind."""
    if kind == "openvino" and not path.exists():
        return not path.with_suffix(".bin").exists()
    if kind != "saved_model":
        return not path.is_dir()
    if path.is_symlink() or path.name in ("", ".."):
        return False
    if not path.exists():
        return True
    return path.is_dir() and ((path / "saved_model.pb").exists() or not any(path.iterdir()))


def _check_difference(difference: Difference, kind: str, precision: str) -> None:
    off = difference.relative > PRECISIONS[precision] or np.isnan(difference.relative)
    if off or (precision != "int8" and not difference.same_objects):
        raise ValueError(
            f"The exported {kind} file does not compute what the model does: its results are "
            f"off by {difference}. It was not kept."
        )


def _write_onnx_file(
    proto: Any, precision: str, batches: Any, path: Path, images: np.ndarray
) -> dict[str, np.ndarray]:
    runtime = require("onnxruntime", "onnxruntime", "Checking an ONNX file")
    if precision == "int8":
        proto = quantize(proto, batches, RUNTIMES["onnx"])
    elif precision == "float16":
        proto = halve(proto)
    path.write_bytes(proto.SerializeToString())
    session = runtime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"images": images}), strict=True))


def _write_openvino(
    proto: Any, precision: str, batches: Any, path: Path, images: np.ndarray
) -> dict[str, np.ndarray]:
    openvino = require("openvino", "openvino", "Writing OpenVINO's format")
    core = openvino.Core()
    if precision == "int8":
        model = quantize(proto, batches, RUNTIMES["openvino"])
    else:
        model = core.read_model(proto.SerializeToString(), b"")
    (text,) = (item.value for item in proto.metadata_props if item.key == KEY)
    model.set_rt_info(text, [KEY])
    openvino.save_model(model, path, compress_to_fp16=precision == "float16")
    compiled = core.compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = compiled([images])
    return {name: results[name] for name in (output.name for output in proto.graph.output)}


ONNX_FORMATS = {"onnx": _write_onnx_file, "openvino": _write_openvino}
RUNTIMES = {"onnx": "onnxruntime", "openvino": "openvino"}


def _compare_all_objects(
    model: keras.Model, how: dict[str, Any], kind: str, precision: str, images: np.ndarray
) -> Difference:
    """Compare with a file that lets all scores through, as a detector finds nothing in noise."""
    graph, description = inference_graph(model, **{**how, "score_threshold": 0.0})
    proto = write_onnx(graph, description, RUNTIMES[kind])
    with tempfile.TemporaryDirectory() as folder:
        part = Path(folder) / f"all{FORMATS[kind]}"
        found = ONNX_FORMATS[kind](proto, precision, None, part, images)
    return compare(graph, images, found, description)


def _move(part: Path, path: Path) -> None:
    """Put what was written in its place; weights beside a file come first."""
    weights = part.with_suffix(".bin")
    if weights.exists():
        weights.replace(path.with_suffix(".bin"))
    if path.is_dir():
        path.rename(part.with_name("replaced"))
    part.replace(path)
