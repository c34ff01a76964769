"""`inspect_model`: feature maps and receptive fields of a backbone's levels on one image."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from cspdarknet._arguments import check_choice, check_count, check_fraction
from cspdarknet._image_size import of_sides
from cspdarknet.analysis.level_graph import LevelGraph
from cspdarknet.analysis.receptive_fields import Span, effective_box, theoretical_fields
from cspdarknet.images import RGB, as_picture
from cspdarknet.model_info import ModelInfo, is_exported_file
from cspdarknet.models import CSPDarkNetBackbone, load_model
from cspdarknet.preprocessing import preprocessor
from cspdarknet.visualize import class_color, feature_picture, outline

LONGER_SIDE = 640
FRACTION = 0.9  # of the energy, within the effective receptive field


@dataclass(frozen=True, eq=False)
class LevelFields:
    """The feature map of a level, and the receptive field of its center position.

    Attributes:
        level: name of the level.
        stride: its stride in pixels.
        features: its feature map, a float32 array `(height, width, channels)`.
        theoretical: side in pixels of the theoretical receptive field, that of the larger side.
        whole: whether each position depends on the whole image through attention layers, which the
            theoretical field leaves out.
        theoretical_box: the theoretical field of the center position: left, top, right and bottom
            in pixels, an array; it may reach beyond the image.
        effective: side in pixels of the effective receptive field: of the smallest square around
            the center with the given fraction of the energy.
        effective_box: that square, likewise.
    """

    level: str
    stride: int
    features: np.ndarray
    theoretical: int
    whole: bool
    theoretical_box: np.ndarray
    effective: int
    effective_box: np.ndarray

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON types."""
        height, width, channels = self.features.shape
        return {
            **{"level": self.level, "stride": self.stride, "channels": channels},
            **{"height": height, "width": width, "theoretical": self.theoretical},
            **{"whole": self.whole, "theoretical_box": self.theoretical_box.tolist()},
            **{"effective": self.effective, "effective_box": self.effective_box.tolist()},
        }


@dataclass(frozen=True, eq=False)
class Inspection:
    """What a backbone computes of an image, level by level.

    Attributes:
        image: uint8 array `(height, width, 3)`, the image as the model takes it.
        levels: a `LevelFields` for each level, the shallowest first.
        fraction: fraction of the energy within the effective receptive fields.
    """

    image: np.ndarray
    levels: tuple[LevelFields, ...]
    fraction: float

    def picture(self) -> Image.Image:
        """Draw the image with the receptive fields beside its feature maps.

        Each level has a color. Thick boxes are effective fields, thin ones theoretical fields.
        """
        image = Image.fromarray(self.image)
        draw, thin = ImageDraw.Draw(image), max(1, round(max(image.size) / 320))
        font = ImageFont.load_default(size=max(10, round(max(image.size) / 28)))
        for i, item in reversed(list(enumerate(self.levels))):
            color = class_color(i)
            outline(draw, item.theoretical_box, color, thin)
            outline(draw, item.effective_box, color, 3 * thin)
            left, top, *_ = item.effective_box.tolist()
            draw.text(
                (max(left, 0), max(top, 0)), item.level, color, font, "lb" if top > 40 else "lt"
            )
        maps = {item.level: item.features for item in self.levels}
        return feature_picture(np.asarray(image), maps)

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON types."""
        levels = [item.to_json() for item in self.levels]
        return {"fraction": self.fraction, "image": list(self.image.shape[:2]), "levels": levels}


def inspect_model(
    model: Any,
    image: Any,
    levels: str | Sequence[str] | None = None,
    *,
    longer_side: int | None = None,
    fraction: float = FRACTION,
) -> Inspection:
    """Compute the feature maps of an image, and the receptive field of each level.

    The effective receptive field is that of the center position in this image: of the gradient of
    the sum of its channels by the pixels, squared.

    Args:
        model: a Keras model or anything that `load_model` takes; of classifiers and detectors the
            backbone counts.
        image: as of a `Predictor`.
        levels: names of the levels, or one of them; `None` for all.
        longer_side: maximum length of the image's longer side in pixels; 0 keeps its size. `None`
            is 640, or the center crop of a model with a fixed image size.
        fraction: fraction of the energy within the effective receptive field.

    Returns:
        An `Inspection`.

    Raises:
        ImageError: if the image cannot be used.
        ValueError: if the model is an exported file or not of this family, or an argument does not
            fit it.

    Example:
        >>> Image.new("RGB", (64, 48), "navy").save("sea.png")
        >>> inspection = inspect_model("csp_darknet_tiny_clothing", "sea.png", ["P2", "P3"])
        >>> [(item.level, item.features.shape, item.theoretical) for item in inspection.levels]
        [('P2', (12, 16, 48), 18), ('P3', (6, 8, 96), 74)]
    """
    backbone = _backbone(model)
    check_fraction("fraction", fraction)
    names = _level_names(backbone, levels)
    if longer_side is not None:
        longer_side = check_count("longer_side", longer_side, least=0)
    inputs, pixels = _preprocessed(backbone, image, longer_side)
    graph = LevelGraph(backbone)
    maps, _ = graph.forward(inputs[None])
    height, width = inputs.shape[:2]
    spans = theoretical_fields(backbone, (height, width), names)
    found = tuple(
        _fields(graph, name, inputs, graph.array(maps[name]), spans[name], fraction)
        for name in sorted(set(names), key=list(graph.levels).index)
    )
    return Inspection(pixels, found, fraction)


def _fields(
    graph: LevelGraph,
    level: str,
    inputs: np.ndarray,
    features: np.ndarray,
    spans: tuple[Span, ...],
    fraction: float,
) -> LevelFields:
    """Measure one level."""
    row, column = features.shape[0] // 2, features.shape[1] // 2
    gradient = graph.pixel_gradient(level, inputs[None], (row, column))
    (top, bottom), (left, right) = spans[0].at(row), spans[1].at(column)
    center = (top + bottom) / 2, (left + right) / 2
    energy = np.square(gradient, dtype="float64").sum(axis=2)
    box = effective_box(energy, center, fraction)
    return LevelFields(
        level=level,
        stride=graph.strides[level],
        features=features,
        theoretical=max(span.size for span in spans),
        whole=any(span.whole for span in spans),
        theoretical_box=np.array([left, top, right, bottom], "float64"),
        effective=round(float(box[2] - box[0])),
        effective_box=box,
    )


def _level_names(backbone: Any, levels: str | Sequence[str] | None) -> list[str]:
    known = tuple(backbone.pyramid_outputs)
    names = [levels] if isinstance(levels, str) else list(known if levels is None else levels)
    for name in names:
        check_choice("level", name, known)
    if not names:
        raise ValueError(f"`levels` must name one of {', '.join(known)} or more. Received: none")
    return names


def _backbone(model: Any) -> Any:
    if is_exported_file(model):
        raise ValueError(
            "Receptive fields need gradients, which an exported file does not have. Received: "
            f"{model}: pass the model that was exported."
        )
    if not isinstance(model, keras.Model):
        model = load_model(model, "features")
    backbone = getattr(model, "backbone", model)
    if not isinstance(backbone, CSPDarkNetBackbone):
        raise ValueError(
            "The model must be a CSPDarkNetBackbone, or have one. "
            f"Received: a {type(backbone).__name__}"
        )
    return backbone


def _preprocessed(
    backbone: Any, image: Any, longer_side: int | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the image as the backbone takes it, and as a picture."""
    shape = list(backbone.image_shape)
    shape = shape[1:] if backbone.data_format == "channels_first" else shape[:2]
    fixed = None if None in shape else of_sides(*shape)
    if fixed is None and longer_side is None:
        longer_side = LONGER_SIDE
    info = ModelInfo("features", image_size=fixed, channels=backbone.channels)
    inputs = preprocessor(info, longer_side=longer_side or None)(image).inputs
    return inputs, inputs if inputs.shape[2] == RGB else as_picture(inputs)
