"""Prove that a model computes what its weights computed where they come from."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet.checkpoints.errors import CheckpointError

TOLERANCE = 1e-4  # of the largest reference value; float32 on another backend is 2e-6 away

# KerasCV's own preset test: five numbers of the output for an image of ones, to a hundredth.
PUBLISHED = {
    "csp_darknet_tiny_imagenet": (
        (1, 512, 512, 3),
        [-0.16216235, 0.7333651, 0.4312072, 0.738807, -0.2515305],
        0.01,
    ),
}


@dataclass(frozen=True)
class Check:
    """One comparison: the largest difference as a share of the largest reference value."""

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.error <= self.tolerance


def verify(model: Any, source: str | Path, golden: str | Path | None = None) -> list[Check]:
    """Compare a model with stored figures.

    Args:
        model: a `CSPDarkNetBackbone`, loaded from `source`.
        source: the preset; its published figures, or those in its `metadata.json`, are used if no
            `golden` is given.
        golden: `.npz` file with an input `x` and feature maps `P2`, `P3`, ...; several cases have
            suffixes (`x_a` and `a_P3`, or `input_a` and `P3_a`).

    Returns:
        A list of `Check`s.

    Raises:
        CheckpointError: if there are no figures to compare with.
    """
    if golden is not None:
        return list(_against_file(model, Path(golden)))
    if str(source) in PUBLISHED:
        shape, expected, tolerance = PUBLISHED[str(source)]
        found = model.predict(np.ones(shape, "float32"), verbose=0)[0, 0, 0, : len(expected)]
        return [Check("published figures", _error(found, np.asarray(expected)), tolerance)]
    metadata = Path(source) / "metadata.json"
    figures = json.loads(metadata.read_text()).get("figures") if metadata.is_file() else None
    if figures is None:
        raise CheckpointError(f"{source} has no stored figures: pass a golden file (.npz).")
    found_now = figures_of(model)
    return [
        Check(level, _error(np.asarray(found_now[level]), np.asarray(values)), TOLERANCE)
        for level, values in figures.items()
    ]


def figures_of(model: Any) -> dict[str, list[float]]:
    """Return eight numbers of each level for a fixed noise image, to store with a model."""
    size = [
        pixels or default
        for pixels, default in zip(model.image_shape, _default(model), strict=True)
    ]
    x = np.random.default_rng(0).integers(0, 256, (1, *size)).astype("float32")
    features = model.feature_pyramid(list(model.pyramid_level_inputs)).predict(x, verbose=0)
    picked = {level: np.ravel(value).astype("float64") for level, value in features.items()}
    return {
        level: values[np.linspace(0, len(values) - 1, 8).astype(int)].tolist()
        for level, values in picked.items()
    }


def _default(model: Any) -> tuple[int, int, int]:
    return (64, 96, 3) if model.data_format == "channels_last" else (3, 64, 96)


def _against_file(model: Any, golden: Path) -> Iterator[Check]:
    try:
        with np.load(golden, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise CheckpointError(f"{golden} is not a readable .npz file: {error}") from error
    cases = list(_cases(arrays))
    if not cases:
        raise CheckpointError(f"{golden} has no input `x` with feature maps `P2`, `P3`, ... in it.")
    for case, x, levels in cases:
        features = model.feature_pyramid(list(levels)).predict(x, verbose=0)
        for level, expected in levels.items():
            yield Check(f"{level} {case}".strip(), _error(features[level], expected), TOLERANCE)


def _cases(arrays: Mapping[str, np.ndarray]) -> Iterator[tuple[str, Any, dict[str, np.ndarray]]]:
    for name, x in arrays.items():
        match = re.fullmatch(r"(?:x|input)(?:_(\w+))?", name)
        if not match:
            continue
        case = match[1] or ""
        forms = (rf"{case}_(P\d)", rf"(P\d)_{case}") if case else (r"(P\d)",)
        levels = {
            found[1]: array
            for key, array in arrays.items()
            for form in forms
            if (found := re.fullmatch(form, key))
        }
        if levels:
            yield case, x, levels


def _error(found: np.ndarray, expected: np.ndarray) -> float:
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max() / np.abs(expected).max())
