"""`TimmWeights`: a state dict of timm from a file of any format."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cspdarknet.checkpoints.checkpoint import Checkpoint
from cspdarknet.checkpoints.config import ModelConfig
from cspdarknet.checkpoints.readers.timm import CONVENTIONS, HEAD, SPLIT, Shapes, layout
from cspdarknet.checkpoints.readers.timm_config import config
from cspdarknet.checkpoints.readers.yolox import COUNTER


@dataclass(frozen=True)
class TimmWeights:
    """A state dict of timm.

    Attributes:
        path: the file.
        format: name of its format.
        shapes: shape of each weight by its name in timm, without prefix.
        read: returns a weight by such a name.
        notes: what a user of the weights should know.
    """

    path: Path
    format: str
    shapes: Shapes
    read: Callable[[str], np.ndarray]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        path: Path,
        file_format: str,
        shapes: Shapes,
        read: Callable[[str], np.ndarray],
        prefix: str = "",
        notes: tuple[str, ...] = (),
    ) -> "TimmWeights":
        """Take the weights with a prefix from those of a file."""
        places = {}
        for name in shapes:
            if name.startswith(prefix) and not name.endswith(COUNTER):
                plain = re.sub(r"^(stem|stages)_", r"\1.", name.removeprefix(prefix))
                places[plain] = name
        named = {plain: shapes[name] for plain, name in places.items()}
        return cls(path, file_format, named, lambda name: read(places[name]), notes)

    def checkpoint(self) -> Checkpoint:
        """Return the weights as an open file."""
        return Checkpoint(
            self.path,
            self.format,
            dict(self._parts()),
            self._read_part,
            layout,
            self._config,
            {name: CONVENTIONS[name] for name in ("padding", "batch_norm_epsilon")},
            head=tuple(name for name in HEAD if name in self.shapes),
            notes=self.notes,
        )

    def _parts(self) -> Iterable[tuple[str, tuple[int, ...]]]:
        """Yield name and shape of each weight, with the expansions cut in two."""
        for name, shape in self.shapes.items():
            if SPLIT in name and shape:
                for part in (0, 1):
                    yield f"{name}[{part}]", (shape[0] // 2, *shape[1:])
            else:
                yield name, shape[::-1] if name == HEAD[0] else shape

    def _read_part(self, name: str) -> np.ndarray:
        whole, _, part = name.partition("[")
        array = self.read(whole).astype("float32", copy=False)
        if part:
            half = array.shape[0] // 2
            return array[half:] if part == "1]" else array[:half]
        return array.T if name == HEAD[0] else array

    def _config(self) -> ModelConfig:
        return config(str(self.path), self.shapes)
