"""Comparison of a model's outputs with reference outputs of its weights."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from cspdarknet.checkpoints.errors import CheckpointError
from cspdarknet.models.load import build_model
from cspdarknet.presets.config import METADATA
from cspdarknet.presets.reference import compute_outputs, output_names, reference_outputs
from cspdarknet.presets.sources import PresetFiles, find

TOLERANCE = 1e-4  # of the largest reference value; backends differ by 2e-6 in float32

# KerasCV's own preset test: five values of the output for an image of ones, to a hundredth.
PUBLISHED = {
    "csp_darknet_tiny_imagenet": (
        (1, 512, 512, 3),
        [-0.16216235, 0.7333651, 0.4312072, 0.738807, -0.2515305],
        0.01,
    ),
}


@dataclass(frozen=True)
class Check:
    """Comparison of one output with its reference.

    Attributes:
        name: name of the output.
        error: maximum absolute error, relative to the largest reference value.
        tolerance: largest error allowed.
    """

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance."""
        return self.error <= self.tolerance


def verify(source: str | Path, golden: str | Path | None = None) -> list[Check]:
    """Load a model, and compare its outputs with reference outputs.

    Args:
        source: preset name, preset folder, run folder, weight file or hub address, as in
            `load_model`. Without `golden`, the reference outputs are those that were published
            with the preset, or those in its `metadata.json`.
        golden: `.npz` file with images `x` and reference outputs: feature maps `P2`, `P3`, ...; a
            classifier's `logits` and `probs`; a detector's `boxes`, `objectness` and `classes`.
            Several cases have suffixes (`x_a` and `a_P3`, or `input_a` and `P3_a`).

    Returns:
        One check for each output.

    Raises:
        CheckpointError: if there are no reference outputs to compare with.
        ValueError: if the source cannot be loaded.

    Example:
        >>> all(check.passed for check in verify("csp_darknet_tiny_clothing"))
        True
    """
    files = find(source)
    model = build_model(files)
    if golden is not None:
        return list(_compare_with_file(model, Path(golden)))
    if files.origin in PUBLISHED:
        shape, expected, tolerance = PUBLISHED[files.origin]
        output = model.predict(np.ones(shape, "float32"), verbose=0)[0, 0, 0, : len(expected)]
        return [Check("published outputs", _error(output, np.asarray(expected)), tolerance)]
    references = _stored_outputs(files)
    if references is None:
        raise CheckpointError(f"{source} has no reference outputs: pass a golden file (.npz).")
    outputs = reference_outputs(model)
    if missing := sorted(set(references) - set(outputs)):
        raise CheckpointError(
            f"{source} has reference outputs that the model does not have: {', '.join(missing)}."
        )
    return [
        Check(name, _error(np.asarray(outputs[name]), np.asarray(values)), TOLERANCE)
        for name, values in references.items()
    ]


def _stored_outputs(files: PresetFiles) -> dict[str, list[float]] | None:
    metadata = None if files.folder is None else files.folder / METADATA
    if metadata is None or not metadata.is_file():
        return None
    outputs: dict[str, list[float]] | None = json.loads(metadata.read_text()).get(
        "reference_outputs"
    )
    return outputs


def _compare_with_file(model: keras.Model, golden: Path) -> Iterator[Check]:
    try:
        with np.load(golden, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError) as error:
        raise CheckpointError(f"{golden} is not a readable .npz file: {error}") from error
    cases = list(_cases(arrays, output_names(model)))
    if not cases:
        raise CheckpointError(
            f"{golden} has no input `x` with reference outputs that this model computes. It must "
            f"hold some of {', '.join(output_names(model))}."
        )
    for case, x, references in cases:
        for name, output in compute_outputs(model, x, list(references)):
            yield Check(f"{name} {case}".strip(), _error(output, references[name]), TOLERANCE)


def _cases(
    arrays: Mapping[str, np.ndarray], names: list[str]
) -> Iterator[tuple[str, Any, dict[str, np.ndarray]]]:
    """Yield the name, the input and the reference outputs of each case in a golden file."""
    for key, x in arrays.items():
        match = re.fullmatch(r"(?:x|input)(?:_(\w+))?", key)
        if not match:
            continue
        case = match[1] or ""
        references = {
            name: arrays[form]
            for name in names
            for form in ((f"{case}_{name}", f"{name}_{case}") if case else (name,))
            if form in arrays
        }
        if references:
            yield case, x, references


def _error(output: np.ndarray, expected: np.ndarray) -> float:
    if output.shape != expected.shape:
        return float("inf")
    return float(np.abs(output - expected).max() / np.abs(expected).max())
