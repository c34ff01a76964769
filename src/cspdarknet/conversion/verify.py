"""Prove that a model computes what its weights computed where they come from."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cspdarknet.checkpoints.architecture import is_detector, parts
from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.presets.records import PRESETS
from cspdarknet.presets.reference import _outputs, reference_outputs
from cspdarknet.yolox.head import OUTPUTS as DETECTOR_OUTPUTS

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
        model: a `CSPDarkNetBackbone`, `ImageClassifier` or `YOLOXDetector`, loaded from `source`.
        source: the preset; its published figures, or those in its `metadata.json`, are used if no
            `golden` is given.
        golden: `.npz` file with an input `x` and feature maps `P2`, `P3`, ..., and a classifier's
            `logits` and `probs`, or a detector's `boxes`, `objectness` and `classes`; several cases
            have suffixes (`x_a` and `a_P3`, or `input_a` and `P3_a`).

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
    figures = _stored_figures(source)
    if figures is None:
        raise CheckpointError(f"{source} has no stored figures: pass a golden file (.npz).")
    found_now = reference_outputs(model)
    if missing := sorted(set(figures) - set(found_now)):
        raise CheckpointError(f"{source} has figures of {', '.join(missing)}: the model has none.")
    return [
        Check(name, _error(np.asarray(found_now[name]), np.asarray(values)), TOLERANCE)
        for name, values in figures.items()
    ]


def _stored_figures(source: str | Path) -> dict[str, list[float]] | None:
    preset = PRESETS.get(str(source))
    folder = preset.folder if preset is not None else Path(source)
    metadata = folder / "metadata.json" if folder is not None else None
    if metadata is None or not metadata.is_file():
        return None
    return json.loads(metadata.read_text()).get("figures")


def _against_file(model: Any, golden: Path) -> Iterator[Check]:
    try:
        with np.load(golden, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise CheckpointError(f"{golden} is not a readable .npz file: {error}") from error
    known = r"P\d|logits|probs" if parts(model)[1] else r"P\d"
    if is_detector(model):
        known = "|".join((r"P\d", *DETECTOR_OUTPUTS))
    cases = list(_cases(arrays, known))
    if not cases:
        raise CheckpointError(
            f"{golden} has no input `x` with what this model computes in it: feature maps `P2`, "
            "`P3`, ..., and `logits` or `probs` of a classifier."
        )
    for case, x, outputs in cases:
        for name, found in _outputs(model, x, list(outputs)):
            yield Check(f"{name} {case}".strip(), _error(found, outputs[name]), TOLERANCE)


def _cases(
    arrays: Mapping[str, np.ndarray], known: str
) -> Iterator[tuple[str, Any, dict[str, np.ndarray]]]:
    """Yield the name, the input and the `known` outputs of each case."""
    for name, x in arrays.items():
        match = re.fullmatch(r"(?:x|input)(?:_(\w+))?", name)
        if not match:
            continue
        case = match[1] or ""
        forms = (rf"{case}_({known})", rf"({known})_{case}") if case else (rf"({known})",)
        outputs = {
            found[1]: array
            for key, array in arrays.items()
            for form in forms
            if (found := re.fullmatch(form, key))
        }
        if outputs:
            yield case, x, outputs


def _error(found: np.ndarray, expected: np.ndarray) -> float:
    if found.shape != expected.shape:
        return float("inf")
    return float(np.abs(found - expected).max() / np.abs(expected).max())
