"""Choice of the weights among those that a training checkpoint holds.

Trainers nest them (`{"model": ..., "ema": ...}`) and put them under prefixes (`module.`). Each
kernel of a stem stands for one candidate; of several, the exponential moving average (EMA) is
taken.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.checkpoints.readers import timm, yolox

MAX_NESTING = 4
MAX_CANDIDATES = 20
# Words between dots and underscores in names of averaged weights.
AVERAGED = frozenset({"ema", "swa", "averaged", "avg", "shadow"})


@dataclass(frozen=True)
class StateDict:
    """Weights with one backbone of YOLOX or timm.

    Attributes:
        keys: keys of the dicts that they are in, from the outermost.
        arrays: the weights by name.
        prefix: prefix of the backbone's names.
        is_timm: whether they have timm's names, not those of YOLOX.
    """

    keys: tuple[str, ...]
    arrays: Mapping[str, np.ndarray]
    prefix: str
    is_timm: bool = False

    @property
    def place(self) -> str:
        """Where the weights are in the file, such as `"['ema'], names with 'module.'"`."""
        keys = "".join(f"[{key!r}]" for key in self.keys)
        root = self.prefix.removesuffix(yolox.BACKBONE)
        return ", ".join(filter(None, (keys, f"names with {root!r}" if root else "")))

    @property
    def expression(self) -> str:
        """Python code that loads these weights alone with PyTorch."""
        loaded = "torch.load(path)" + "".join(f"[{key!r}]" for key in self.keys)
        root = self.prefix.removesuffix(yolox.BACKBONE)
        if not root:
            return loaded
        return f"{{k: v for k, v in {loaded}.items() if k.startswith({root!r})}}"

    @property
    def is_average(self) -> bool:
        """Whether they are an average of the weights of several steps."""
        text = ".".join((*self.keys, self.prefix)).lower()
        return bool(AVERAGED & set(re.split(r"[._]", text)))


def choose(path: Path, content: Any) -> tuple[StateDict, tuple[str, ...]]:
    """Return the weights of YOLOX or timm in the content of a file, and notes on the choice.

    Args:
        path: the file, for error messages.
        content: dicts with arrays by name.

    Raises:
        CheckpointError: if there are none, or several without one EMA among them.
    """
    candidates = list(_candidates(content, ()))
    if not candidates:
        raise CheckpointError(
            f"{path} does not hold a CSPDarkNet of YOLOX or timm: no weight ends in "
            f"{yolox.STEM!r} or 'stem.conv1.conv.weight'."
        )
    if len(candidates) == 1:
        return candidates[0], ()
    averages = [candidate for candidate in candidates if candidate.is_average]
    if len(averages) == 1:
        others = ", ".join(c.place or "the file itself" for c in candidates if c not in averages)
        chosen = averages[0]
        return chosen, (f"the EMA weights are taken, {chosen.place}; there are also {others}",)
    places = "; ".join(c.place or "the file itself" for c in candidates[:MAX_CANDIDATES])
    raise CheckpointError(
        f"{path} holds the weights of {len(candidates)} models: {places}. Save those that you want "
        f"alone, such as torch.save({candidates[0].expression}, new_path)."
    )


def weight_names(content: Any, nesting: int = 0) -> Iterator[str]:
    """Yield the names of all arrays in the content of a file."""
    if not isinstance(content, dict) or nesting > MAX_NESTING:
        return
    for name, item in content.items():
        if isinstance(name, str) and isinstance(item, np.ndarray):
            yield name
        else:
            yield from weight_names(item, nesting + 1)


def _candidates(content: Any, keys: tuple[str, ...]) -> Iterator[StateDict]:
    if not isinstance(content, dict) or len(keys) > MAX_NESTING:
        return
    arrays = {
        name: item
        for name, item in content.items()
        if isinstance(name, str) and isinstance(item, np.ndarray)
    }
    for name in arrays:
        if name.endswith(yolox.STEM):
            yield StateDict(keys, arrays, name.removesuffix(yolox.STEM))
    for prefix in timm.prefixes(arrays):
        yield StateDict(keys, arrays, prefix, is_timm=True)
    for key, item in content.items():
        if isinstance(key, str):
            yield from _candidates(item, (*keys, key))
