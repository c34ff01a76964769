"""`Checkpoint`: an open weight file of any format."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.targets import Target


@dataclass(frozen=True)
class Checkpoint:
    """An open weight file. Each reader in `checkpoints.readers` makes one.

    Attributes:
        path: the file.
        format: name of the format, such as `"YOLOX, PyTorch"`.
        shapes: shape of each weight that a model can take, by its path in the file.
        read: returns the array at a path.
        layout: maps the paths to the variables of a backbone or detector of this architecture.
        config: reads the constructor arguments of the model off the file.
        conventions: backbone arguments that the weights were trained with and require.
        adapts_to: backbone arguments that the reader compensates for in the weights, so that every
            value of them gives the same outputs.
        head: paths that are not the backbone's: kernel and bias of a classifier's head, or a
            detector's neck and head.
        numbers_layers: whether the paths of a detector's backbone depend on its neck and head.
        input_convention: files of YOLOX: the images that the user says it was trained on.
        stem_magnitude: files of YOLOX: mean absolute weight of the stem with its batch
            normalization folded in.
        read_as: files of YOLOX: returns the same file with another input convention.
        notes: what a user of the weights should know.
        close: closes the file.
    """

    path: Path
    format: str
    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], np.ndarray]
    layout: Callable[[Any], dict[str, Target]]
    config: Callable[[], ModelConfig] = lambda: ModelConfig({})
    conventions: Mapping[str, Any] = field(default_factory=dict)
    adapts_to: frozenset[str] = frozenset()
    head: tuple[str, ...] = ()
    numbers_layers: bool = False
    input_convention: str | None = None
    stem_magnitude: float | None = None
    read_as: "Callable[[str], Checkpoint] | None" = None
    notes: tuple[str, ...] = ()
    close: Callable[[], None] = lambda: None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
