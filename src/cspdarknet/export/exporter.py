"""`export`: writes a model to a file for other software, and compares the outputs of both."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cspdarknet._arguments import check_choice
from cspdarknet._image_size import ImageSize
from cspdarknet._unfinished import make_folder, temporary_folder
from cspdarknet.detections import DetectionOptions, check_options
from cspdarknet.export import keras_formats, onnx_formats, verification
from cspdarknet.export.calibration import MAX_IMAGES, check_calibration
from cspdarknet.export.formats import (
    FORMATS,
    PRECISIONS,
    TOLERANCES,
    check_replaceable,
    format_of,
    move_into_place,
)
from cspdarknet.export.inference_graph import check_model, inference_graph
from cspdarknet.export.onnx.model import onnx_for_runtime
from cspdarknet.export.verification import Comparison, Reference
from cspdarknet.model_info import ModelInfo


@dataclass(frozen=True)
class ExportResult:
    """An exported file.

    Attributes:
        path: the file; for a SavedModel the folder.
        format: its format, one of those of `export`.
        info: the `ModelInfo` of the model in it.
        num_bytes: its size, with the files that belong to it.
        comparison: the error of its outputs against those of the Keras model.
    """

    path: Path
    format: str
    info: ModelInfo
    num_bytes: int
    comparison: Comparison


def export(
    model: keras.Model,
    path: str | Path,
    format: str | None = None,
    *,
    precision: str = "float32",
    calibration: str | Path | Sequence[Any] | None = None,
    inputs: str = "uint8",
    image_size: ImageSize | None = None,
    letterbox: bool = False,
    raw_outputs: bool = False,
    options: DetectionOptions | None = None,
    sample_images: np.ndarray | None = None,
) -> ExportResult:
    """Export a model, fused, to a file for other software, and compare its outputs.

    Args:
        model: a backbone, its `feature_pyramid()`, a classifier, a regressor or a detector.
        path: the file to write. It is written atomically.
        format: `"onnx"`, `"openvino"`, `"litert"`, `"torch"` (a PyTorch exported program) or
            `"saved_model"` (TensorFlow), or `"triton"` (a folder of Triton's model repository, with
            an ONNX file); `None` for the format of the suffix of `path`: .onnx,
            .xml, .tflite, .pt2, or none for a SavedModel. LiteRT and SavedModel need TensorFlow,
            .pt2 needs PyTorch, whatever the Keras backend.
        precision: precision of the weights: `"float32"`; `"float16"`, which halves the file, and
            computes in float32; or `"int8"`. Other precisions than float32 are for ONNX, OpenVINO
            and Triton.
        calibration: images for int8, like those that the model will see: a folder, or a list of
            paths or arrays `(height, width, 3)`; the first 128 are used.
        inputs: dtype of the images, `"uint8"` or `"float32"`. Both are in the range that the model
            takes, 0..255 if it has a rescaling layer.
        image_size: side of the images in pixels, or a pair (height, width); `None` for any size, or
            for a detector's own.
        letterbox: detectors: take images of any size, and letterbox them in the graph; boxes are
            then in pixels of the image. The values of float32 images are not rounded.
        raw_outputs: detectors: export raw outputs, without box decoding and NMS.
        options: detectors: the `DetectionOptions` of box decoding and NMS.
        sample_images: images `(batch, height, width, 3)` on which the outputs are compared, as the
            graph takes them; random ones by default.

    Returns:
        An `ExportResult`.

    Raises:
        ValueError: if arguments do not fit the model or each other, or the outputs differ from the
            model's by a maximum relative error of more than 1e-4 in float32, or 1e-2 in float16.
            Then no file is left.
        ImportError: if a package that the format needs is missing.

    Example:
        >>> classifier = ImageClassifier.from_preset("csp_darknet_tiny_clothing")
        >>> result = export(classifier, "garments.onnx")
        >>> result.comparison.max_relative_error < 1e-4
        True
    """
    path = Path(path)
    format = format_of(path, format)
    spec = FORMATS[format]
    _check_arguments(format, precision, calibration, letterbox)
    check_replaceable(path, format)
    check_model(model)
    check_options(options)
    if image_size is None and (options is None or options.image_size is None):
        image_size = keras_formats.fixed_image_size(format, model)
    graph, info = inference_graph(
        model,
        inputs=inputs,
        image_size=image_size,
        letterbox=letterbox,
        raw_outputs=raw_outputs,
        options=options,
    )
    info = replace(info, precision=precision)
    if calibration is not None and not isinstance(calibration, (str, Path)):
        calibration = list(islice(calibration, MAX_IMAGES))  # it is read twice
    if sample_images is None and calibration is not None:
        sample_images = verification.calibration_samples(calibration, info, image_size)
    elif sample_images is None:
        sample_images = verification.sample_images(graph, info)
    images = np.asarray(sample_images, inputs)[: keras_formats.max_batch_size(format, graph)]
    units = (model.mean, model.std) if info.task == "regression" else None
    reference = Reference(graph, images, precision, units)
    make_folder(path.parent)
    with temporary_folder(path) as folder:
        part = folder / path.name
        if spec.runtime is None:
            comparison = reference.compare(keras_formats.write(graph, part, format, images))
        else:
            onnx_formats.write(
                onnx_for_runtime(graph, info, spec.runtime, calibration), info, part, format
            )
            comparison = _compare_file(part, format, info, images, reference)
        _check_comparison(comparison, format, precision)
        num_bytes = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        move_into_place(part, path)
    return ExportResult(path, format, info, num_bytes, comparison)


def _check_arguments(format: str, precision: str, calibration: Any, letterbox: bool) -> None:
    check_choice("precision", precision, PRECISIONS)
    if precision not in FORMATS[format].precisions:
        able = [name for name, spec in FORMATS.items() if precision in spec.precisions]
        raise ValueError(
            f"precision={precision!r} is for the formats {', '.join(able)}. "
            f"Received: format={format!r}"
        )
    check_calibration(precision, calibration)
    if letterbox and not FORMATS[format].can_letterbox:
        raise ValueError(
            f"The format {format!r} cannot letterbox images: letterbox them before, with "
            "`cspdarknet.yolox.letterbox`. Received: letterbox=True"
        )


def _compare_file(
    path: Path, format: str, info: ModelInfo, images: np.ndarray, reference: Reference
) -> Comparison:
    """Compare an ONNX or OpenVINO file with the graph.

    If a detector detects nothing in the images, the file is compared once more with the scores
    multiplied by a factor: its boxes, scores, NMS and thresholds must be those of the graph.
    """
    comparison = reference.compare(onnx_formats.run(path, images, format))
    if comparison.num_detections != 0 or info.precision == "int8":
        return comparison
    factor = reference.score_factor
    if factor is None:
        return comparison
    return reference.compare(onnx_formats.run(path, images, format, factor), factor)


def _check_comparison(comparison: Comparison, format: str, precision: str) -> None:
    tolerance = TOLERANCES[precision]
    is_close = comparison.max_relative_error <= tolerance
    if not is_close or (precision != "int8" and not comparison.detections_match):
        raise ValueError(
            f"The outputs of the {format} file must be those of the model, with a maximum relative "
            f"error of {tolerance:g}. Received: {comparison}. The file was not kept."
        )
