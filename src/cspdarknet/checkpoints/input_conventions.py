"""Which images a file of YOLOX was trained on: the file does not state it.

YOLOX takes BGR images of 0..255. Its first release (0.0.1) and widespread re-implementations take
normalized RGB images. Folded with its batch normalization, the stem's kernel shows the difference:
its weights are larger where the images are small numbers.
"""

import warnings
from typing import Any

import numpy as np

from cspdarknet._arguments import check_choice
from cspdarknet.checkpoints.checkpoint import Checkpoint

BGR, RGB, NORMALIZED = "bgr", "rgb", "normalized"
CONVENTIONS = (BGR, RGB, NORMALIZED)
# Mean and standard deviation of ImageNet's images of 0..1, red first.
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
# Mean absolute weight of the stem: 0.30 to 0.50 in published files of normalized images, and
# 0.0005 to 0.006 in those of 0..255.
LARGEST_STEM = 0.04


class InputConventionWarning(UserWarning):
    """The weights look as if they were trained on images of another convention."""


def input_arguments(convention: str | None) -> dict[str, Any]:
    """Return the backbone arguments that a convention requires; `None` means BGR.

    Raises:
        ValueError: if there is no such convention.
    """
    check_choice("input_convention", convention, (None, *CONVENTIONS))
    if convention != NORMALIZED:
        return {"mean": None, "std": None}
    return {"include_rescaling": True, "mean": list(MEAN), "std": list(STD)}


def writable_normalization(backbone: Any) -> bool:
    """Whether a file of YOLOX can hold the weights of a backbone with this normalization.

    It can if there is none, or that of the convention `"normalized"`.
    """
    if backbone.mean is None:
        return True
    # Without the rescaling, mean and standard deviation may be those of pixels of 0..255.
    units = (1.0,) if backbone.include_rescaling else (1.0, 255.0)
    stated = np.asarray([backbone.mean, backbone.std])
    return any(
        stated.shape == (2, len(MEAN)) and np.allclose(stated / unit, (MEAN, STD), atol=1e-5)
        for unit in units
    )


def likely_convention(stem_magnitude: float) -> str:
    """Return the convention that the mean absolute weight of a folded stem points to."""
    return NORMALIZED if stem_magnitude > LARGEST_STEM else BGR


def warn_if_unlikely(checkpoint: Checkpoint, backbone: Any) -> None:
    """Warn if the stem of a file of YOLOX looks as if it took other images than a backbone gives.

    Args:
        checkpoint: the open file.
        backbone: the backbone that the weights are loaded into.
    """
    magnitude = checkpoint.stem_magnitude
    if magnitude is None:
        return
    normalizes = backbone.mean is not None
    if normalizes == (likely_convention(magnitude) == NORMALIZED):
        return
    if normalizes:
        text = (
            "of images of 0..255, and are loaded as those of normalized images: leave "
            "input_convention='normalized' out if the detections are wrong"
        )
    elif checkpoint.input_convention is None:
        text = (
            "of normalized RGB images, as in YOLOX 0.0.1 and re-implementations, and are loaded "
            "as those of BGR images of 0..255: pass input_convention='normalized' (`cspdarknet "
            "convert --input-convention normalized`), or input_convention='bgr' if it is right"
        )
    else:
        return  # the user says so
    warnings.warn(
        f"The weights of {checkpoint.path} look like those {text}. The mean absolute weight of "
        f"the stem is {magnitude:.3g}, and below {LARGEST_STEM} for images of 0..255.",
        InputConventionWarning,
        stacklevel=2,
    )
