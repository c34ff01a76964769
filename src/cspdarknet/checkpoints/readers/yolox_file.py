"""`YOLOXWeights`: a state dict of YOLOX from a file of any format, and what the file states."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet.checkpoints.checkpoint import Checkpoint
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.input_conventions import RGB, input_arguments
from cspdarknet.checkpoints.readers import yolox
from cspdarknet.checkpoints.targets import Target


@dataclass(frozen=True)
class YOLOXWeights:
    """A state dict of YOLOX.

    Attributes:
        path: the file.
        format: name of its format.
        arrays: the weights by name, with one backbone among them.
        prefix: prefix of the backbone's names.
        activation: name of the activation; `None` if the file does not state it.
        image_size: side of the square images; `None` if the file does not state it.
        notes: what a user of the weights should know.
        input_convention: the images that the user says it was trained on; `None` for YOLOX's own,
            or those that the model gives which takes the weights.
    """

    path: Path
    format: str
    arrays: Mapping[str, np.ndarray]
    prefix: str
    activation: str | None = None
    image_size: int | None = None
    notes: tuple[str, ...] = ()
    input_convention: str | None = None

    def checkpoint(self) -> Checkpoint:
        """Return the weights as an open file."""
        head = yolox.detector_names(self.arrays, self.prefix)
        names = (*yolox.backbone_names(self.arrays, self.prefix), *head)
        required = self._required
        scales = "include_rescaling" not in required
        return Checkpoint(
            self.path,
            self.format,
            {name: self.arrays[name].shape for name in names},
            lambda name: self.arrays[name].astype("float32", copy=False),
            self._layout,
            self._config,
            {name: yolox.CONVENTIONS[name] for name in ("padding", "batch_norm_epsilon")}
            | required,
            adapts_to=frozenset({"include_rescaling"} if scales else ()),
            head=tuple(head),
            input_convention=self.input_convention,
            stem_magnitude=self._stem_magnitude(),
            read_as=lambda convention: replace(self, input_convention=convention).checkpoint(),
            notes=self.notes,
        )

    @property
    def _required(self) -> dict[str, Any]:
        """The backbone arguments that the weights are known to require."""
        stated = {} if self.activation is None else {"activation": self.activation}
        given = {} if self.input_convention is None else input_arguments(self.input_convention)
        return stated | given

    def _layout(self, model: Any) -> dict[str, Target]:
        return yolox.layout(model, self.prefix, is_rgb=self.input_convention == RGB)

    def _config(self) -> ModelConfig:
        shapes = {name: array.shape for name, array in self.arrays.items()}
        config = yolox.config(str(self.path), shapes, self.prefix)
        config.backbone.update(self._required)
        head = config.head
        if head is not None and self.image_size is not None:
            head["image_size"] = self.image_size
        assumed = {"activation": self.activation is None}
        assumed["input_convention"] = self.input_convention is None
        assumed["class_names"] = head is not None and head["class_names"] is not None
        return replace(config, assumed=frozenset(name for name, value in assumed.items() if value))

    def _stem_magnitude(self) -> float | None:
        """Return the mean absolute weight of the stem with its batch normalization folded in."""
        kernel = self.arrays[self.prefix + yolox.STEM]
        name = self.prefix + yolox.STEM.removesuffix("conv.weight")
        scale, variance = (self.arrays.get(f"{name}bn.{key}") for key in ("weight", "running_var"))
        if kernel.ndim != 4 or scale is None or scale.shape != kernel.shape[:1]:
            return None
        if variance is None or variance.shape != scale.shape:
            return None
        with np.errstate(all="ignore"):  # damaged weights are refused when they are loaded
            factor = scale.astype("float32") / np.sqrt(variance.astype("float32") + yolox.EPSILON)
            folded = np.abs(kernel.astype("float32")).mean((1, 2, 3)) * np.abs(factor)
        return float(folded.mean())
