"""Comparison of the outputs of an exported file with those of the inference graph."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cspdarknet._image_size import ImageSize
from cspdarknet.export.calibration import calibration_images
from cspdarknet.model_info import ModelInfo
from cspdarknet.yolox.postprocess import NonMaxSuppression, RestoreBoxes

SIDE = 160  # pixels, of sample images for a graph that takes any size
BATCH_SIZE = 2
CALIBRATION_SAMPLES = 8
# Two detections match if they have the same class and their boxes and confidences differ by less.
MAX_BOX_ERROR = 1.0  # pixels
# An untrained detector finds boxes of millions of pixels: the error of a box that reaches farther
# than this is relative to how far it reaches.
FAR = 10  # sides of the image
MAX_CONFIDENCE_ERROR = 0.01
# The same of int8, which moves a box by a few percent of its size.
MIN_INT8_IOU = 0.75
MAX_INT8_CONFIDENCE_ERROR = 0.15
# Near the score and IoU thresholds, rounding decides which boxes are kept.
MIN_MATCHED_FRACTION = 0.9
MIN_DETECTIONS = 5  # of which one may differ
# Of a target: the least standard deviation, relative to its numbers.
MIN_SPREAD = 0.002


@dataclass(frozen=True)
class Comparison:
    """The error of an exported file's outputs against those of the inference graph.

    Attributes:
        max_relative_error: the largest error, relative to the largest value of the same output; of
            a regressor, before its numbers are in units, and to 1 at least. For detections: the
            largest error of a confidence, or of a box relative to the image size, among the
            detections that match.
        num_expected: the number of detections of the inference graph; `None` for other outputs.
        num_exported: the number of detections of the exported file, likewise.
        num_matched: the number of detections that both have, likewise.
    """

    max_relative_error: float
    num_expected: int | None = None
    num_exported: int | None = None
    num_matched: int | None = None

    @property
    def num_detections(self) -> int | None:
        """The larger number of detections, of the graph or of the file; `None` without any."""
        if self.num_expected is None or self.num_exported is None:
            return None
        return max(self.num_expected, self.num_exported)

    @property
    def detections_match(self) -> bool:
        """Whether at least 90 % of the detections match, or all but one of five to nine.

        `True` for other outputs.
        """
        count, num_matched = self.num_detections or 0, self.num_matched or 0
        all_but_one = count >= MIN_DETECTIONS and num_matched == count - 1
        return all_but_one or num_matched >= MIN_MATCHED_FRACTION * count

    def __str__(self) -> str:
        error = f"{self.max_relative_error:.1e}"
        if self.num_detections is None:
            return error
        return f"{error}, {self.num_matched} of {self.num_detections} detections match"


class Reference:
    """Outputs of an inference graph for sample images, to compare exported files with.

    The graph runs once. The boxes and scores before NMS are kept, so that NMS can be compared even
    if the detector detects nothing in the images: `score_factor` is then a factor for the scores
    that brings some of them above the threshold.

    Args:
        graph: from `inference_graph`.
        images: a batch of images as the graph takes them.
        precision: precision of the files to compare.
        units: mean and standard deviation of each target of a regressor; `None` for other models.

    Raises:
        ValueError: if the outputs are not finite numbers.
    """

    def __init__(
        self,
        graph: keras.Model,
        images: np.ndarray,
        precision: str = "float32",
        units: tuple[Sequence[float], Sequence[float]] | None = None,
    ) -> None:
        self._units = units
        self._is_int8 = precision == "int8"
        self._image_size = max(images.shape[1:])
        self._graph = graph
        self._nms = _layer_of(graph, NonMaxSuppression)
        # The inputs of NMS, and of RestoreBoxes besides its boxes.
        tensors: list[Any] = []
        if self._nms is not None:
            tensors += self._nms.input
            restore = _layer_of(graph, RestoreBoxes)
            tensors += [] if restore is None else restore.input[1:]
        model = keras.Model(graph.input, [graph.output, tensors])
        outputs, values = model.predict_on_batch(images)
        self._tensors, self._values = tensors, [np.asarray(value) for value in values]
        self._outputs = {name: np.asarray(value) for name, value in outputs.items()}
        for name, value in self._outputs.items():
            if not np.isfinite(value).all():
                raise ValueError(
                    f"The outputs of the model must be finite numbers. Received: {name!r} with "
                    "others, for sample images"
                )

    @property
    def score_factor(self) -> float | None:
        """The factor that lifts the higher scores above the threshold; `None` if all are zero."""
        assert self._nms is not None
        scores = self._values[1]
        # A score relative to the threshold of its class is above 1 where it is kept.
        thresholds = np.array(self._nms.class_thresholds(scores.shape[-1]), "float32")
        thresholds = np.maximum(thresholds, np.float32(1e-9))[scores.argmax(axis=-1)]
        relative = np.sort(scores.max(axis=-1) / thresholds, axis=None)[::-1]
        # About half of what NMS may return, so that a lower threshold is noticed, too.
        count = max(1, min(len(scores) * self._nms.max_detections, len(relative)) // 2)
        limit = float(relative[count - 1 : count + 1].mean())
        return 1 / limit if limit > 0 else None

    def outputs(self, score_factor: float = 1.0) -> dict[str, np.ndarray]:
        """Return the outputs by name, with the scores before NMS multiplied by a factor."""
        if score_factor == 1:
            return self._outputs
        boxes, scores, *others = self._values
        scores = scores * np.float32(score_factor)
        from_nms_on = keras.Model(self._tensors, self._graph.output)
        outputs = from_nms_on.predict_on_batch([boxes, scores, *others])
        return {name: np.asarray(value) for name, value in outputs.items()}

    def compare(self, outputs: dict[str, np.ndarray], score_factor: float = 1.0) -> Comparison:
        """Compare the outputs of a file that multiplies the scores before NMS by a factor.

        Raises:
            ValueError: if an output is missing or of another shape.
        """
        expected = self.outputs(score_factor)
        for name, value in expected.items():
            if name not in outputs or outputs[name].shape != value.shape:
                shapes = {name: array.shape for name, array in outputs.items()}
                raise ValueError(
                    f"The exported file must return {name!r} of shape {value.shape}. "
                    f"Received: outputs of shapes {shapes}"
                )
        if self._nms is not None:
            return _compare_detections(expected, outputs, self._image_size, self._is_int8)
        errors = [
            (np.abs(outputs[name].astype("float64") - value) / self._scale(value)).max()
            for name, value in expected.items()
        ]
        return Comparison(float(np.max(errors)))

    def _scale(self, value: np.ndarray) -> Any:
        """Return what the error of an output is relative to."""
        if self._units is None:
            return max(np.abs(value).max(), 1e-9)
        mean, std = map(np.asarray, self._units)
        largest = np.abs((value - mean) / std).max()
        # A large mean would hide errors that matter, but float32 has no more digits than this.
        return np.maximum(std * max(largest, 1), MIN_SPREAD * np.abs(value).max(axis=0))


def _layer_of(graph: keras.Model, layer_type: type) -> Any:
    return next((layer for layer in graph.layers if isinstance(layer, layer_type)), None)


def calibration_samples(
    calibration: str | Path | Sequence[Any], info: ModelInfo, image_size: ImageSize | None
) -> np.ndarray:
    """Return some of the calibration images: those of the size of the first.

    An int8 file is accurate on such images only. Arguments as in `calibration_images`.
    """
    batches = calibration_images(calibration, info, image_size=image_size)[:CALIBRATION_SAMPLES]
    return np.concatenate([batch for batch in batches if batch.shape == batches[0].shape])


def sample_images(graph: keras.Model, info: ModelInfo) -> np.ndarray:
    """Return random images of a size that the graph takes: smooth noise, as in photographs."""
    shape = [BATCH_SIZE, *(side or SIDE for side in graph.inputs[0].shape[1:])]
    axes = (1, 2) if info.data_format == "channels_last" else (2, 3)
    coarse = [max(1, side // 16) if axis in axes else side for axis, side in enumerate(shape)]
    rng = np.random.default_rng(0)
    smooth = rng.uniform(0, 255, coarse)
    for axis in axes:
        index = np.linspace(0, coarse[axis] - 1, shape[axis]).round().astype(int)
        smooth = np.take(smooth, index, axis=axis)
    noisy = smooth + rng.normal(0, 10, shape)
    return noisy.clip(0, 255).round().astype(info.inputs)


def _compare_detections(
    expected: dict[str, np.ndarray],
    exported: dict[str, np.ndarray],
    image_size: int,
    is_int8: bool,
) -> Comparison:
    max_confidence_error = MAX_INT8_CONFIDENCE_ERROR if is_int8 else MAX_CONFIDENCE_ERROR
    num_expected, num_matched, largest = 0, 0, 0.0
    # Scores that a factor multiplied may be above 1.
    scale = max(1.0, float(expected["confidence"].max(initial=0.0)))
    for i, count in enumerate(expected["num_detections"]):
        for j in range(int(count)):
            num_expected += 1
            confidence_errors = np.abs(exported["confidence"][i] - expected["confidence"][i, j])
            confidence_errors = confidence_errors / scale
            box_errors = np.abs(exported["boxes"][i] - expected["boxes"][i, j]).max(axis=1)
            box_errors /= max(1.0, np.abs(expected["boxes"][i, j]).max() / (FAR * image_size))
            matches = exported["classes"][i] == expected["classes"][i, j]
            matches &= confidence_errors < max_confidence_error
            if is_int8:
                matches &= _iou(expected["boxes"][i, j], exported["boxes"][i]) > MIN_INT8_IOU
            else:
                matches &= box_errors < MAX_BOX_ERROR
            if matches.any():
                num_matched += 1
                best = np.flatnonzero(matches)[box_errors[matches].argmin()]
                error = max(confidence_errors[best], box_errors[best] / image_size)
                largest = max(largest, float(error))
    num_exported = int(exported["num_detections"].sum())
    return Comparison(largest, num_expected, num_exported, num_matched)


def _iou(box: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return the IoU of a box with each of several boxes, `(n, 4)`, in corners."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    common = (high - low).clip(0).prod(axis=1)
    areas = [(b[..., 2:] - b[..., :2]).clip(0).prod(axis=-1) for b in (box, boxes)]
    return np.asarray(common / np.maximum(areas[0] + areas[1] - common, 1e-9))
