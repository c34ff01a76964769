"""Class activation maps from feature maps and gradients: Grad-CAM and LayerCAM."""

from typing import Any

import keras
import numpy as np
from PIL import Image

from cspdarknet._arguments import check_choice
from cspdarknet._image_size import of_sides
from cspdarknet.analysis.level_graph import LevelGraph
from cspdarknet.analysis.targets import Target
from cspdarknet.preprocessing import Preprocessed
from cspdarknet.yolox.letterbox import fitted_size
from cspdarknet.yolox.postprocess import DecodeBoxes


def grad_cam(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Weigh each channel of a feature map by its mean gradient, and add up: Grad-CAM.

    Args:
        maps: feature map `(height, width, channels)`.
        gradients: gradient of a score by it, of the same shape.

    Returns:
        A float32 array `(height, width)`, at least 0.

    References:
        Grad-CAM (https://arxiv.org/abs/1610.02391), equations 1 and 2.

    Example:
        >>> grad_cam(np.array([[[1.0, 2.0]]]), np.array([[[3.0, -1.0]]])).tolist()
        [[1.0]]
    """
    weights = gradients.mean(axis=(0, 1), dtype="float64")
    return np.maximum(maps @ weights, 0).astype("float32")


def layer_cam(maps: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """Weigh each value of a feature map by its own positive gradient, and add up: LayerCAM.

    It is local, so that it shows one object of several, and details of shallow levels.

    Args:
        maps: feature map `(height, width, channels)`.
        gradients: gradient of a score by it, of the same shape.

    Returns:
        A float32 array `(height, width)`, at least 0.

    References:
        LayerCAM (https://ieeexplore.ieee.org/document/9462463), equations 4 to 6.

    Example:
        >>> layer_cam(np.array([[[1.0, 2.0]]]), np.array([[[3.0, -1.0]]])).tolist()
        [[3.0]]
    """
    products = maps.astype("float64") * np.maximum(gradients, 0)
    return np.maximum(products.sum(axis=2), 0).astype("float32")


METHODS = {"grad-cam": grad_cam, "layer-cam": layer_cam}


class ActivationMapper:
    """Class activation maps of a Keras model.

    Args:
        model: an `ImageClassifier`, an `ImageRegressor` or a `YOLOXDetector`.
        method: `"grad-cam"` or `"layer-cam"`.
        level: pyramid level of the backbone; `None` for the deepest one, or for that of the anchor
            point of a detection.

    Raises:
        ValueError: if the backbone has no such level, or the backend or the model no gradients.
    """

    def __init__(self, model: Any, method: str, level: str | None) -> None:
        self._model, self._method = model, METHODS[method]
        self._graph = LevelGraph(model)
        check_choice("level", level, (None, *self._graph.levels))
        self._level = level

    def __call__(self, given: Preprocessed, target: Target) -> tuple[str, np.ndarray, np.ndarray]:
        """Explain a target.

        Args:
            given: the preprocessed image.
            target: the class, the number or the detection.

        Returns:
            The level, the map of its cells, and the same map in pixels of the image.
        """
        graph = self._graph
        maps, outputs = graph.forward(given.inputs[None])
        weights, own = np.zeros(outputs["logits"].shape, "float32"), None
        if target.box is None:
            weights[0, target.class_id] = 1
        else:
            anchor, own = self._anchor(outputs, given, target)
            weights[0, anchor, target.class_id] = 1
        level = self._level or (own if own in graph.levels else list(graph.levels)[-1])
        raw = self._method(graph.array(maps[level]), graph.gradient(level, maps, weights))
        return level, raw, self._in_pixels(raw, given, graph.strides.get(level))

    def _anchor(
        self, outputs: dict[str, Any], given: Preprocessed, target: Target
    ) -> tuple[int, str]:
        """Return the index of the anchor point of a detection, and its level."""
        model, (height, width, _) = self._model, given.inputs.shape
        rows, columns, _ = given.image.shape
        *_, ratio = fitted_size(rows, columns, of_sides(height, width))
        decode = DecodeBoxes(of_sides(height, width), model.strides, dtype="float32")
        boxes, scores = (keras.ops.convert_to_numpy(x)[0] for x in decode(outputs))
        distances = np.abs(boxes / ratio - np.array(target.box)).max(axis=1)
        distances += np.abs(scores[:, target.class_id] - target.score)
        distances[scores.argmax(axis=1) != target.class_id] = np.inf
        anchor = int(distances.argmin())
        counts = [(height // stride) * (width // stride) for stride in model.strides]
        return anchor, model.levels[int(np.searchsorted(np.cumsum(counts), anchor, side="right"))]

    def _in_pixels(self, raw: np.ndarray, given: Preprocessed, stride: int | None) -> np.ndarray:
        """Resize a map of a level's cells to the image, without the padding beside it."""
        size, (height, width) = given.inputs.shape[:2], given.image.shape[:2]
        strides = [stride or n / cells for n, cells in zip(size, raw.shape, strict=True)]
        if self._model.task == "detection":
            size = fitted_size(height, width, of_sides(*size))[:2]
        # The last cells may reach beyond an image whose size is not a multiple of the stride.
        ends = zip(size, strides, raw.shape, strict=True)
        box = [min(side / step, cells) for side, step, cells in ends]
        resized = Image.fromarray(raw).resize(
            (width, height), Image.Resampling.BILINEAR, box=(0, 0, box[1], box[0])
        )
        return np.asarray(resized)
