"""What commands share: the model that an argument names, and the names of its classes."""

from pathlib import Path

import keras

from cspdarknet.models import ImageClassifier, YOLOXDetector
from cspdarknet.presets import sources
from cspdarknet.run_folder import SETTINGS


def load_classifier(source: str, which: str = "best") -> ImageClassifier:
    """Return the classifier of a run folder, or a preset's."""
    preset = _preset(source, which)
    if is_detector(source, which):
        raise ValueError(
            f"{source} is a detector of objects: use `cspdarknet detect` or `evaluate`; "
            "or name a classifier."
        )
    return ImageClassifier.from_preset(preset)


def load_detector(source: str, which: str = "best") -> YOLOXDetector:
    """Return the detector of a run folder, or a preset's; its boxes are left, top, right, bottom.

    Raises:
        ValueError: if it is a model of another kind.
    """
    preset = _preset(source, which)
    if not is_detector(source, which):
        raise ValueError(
            f"{source} does not detect objects: name a preset of a detector, or a run folder of "
            "one that you trained on photos with boxes. Photos are classified by "
            "`cspdarknet predict`."
        )
    return YOLOXDetector.from_preset(preset, bounding_box_format="xyxy")


def is_detector(source: str, which: str = "best") -> bool:
    """Whether a run folder or a preset holds a detector; nothing but its config is fetched."""
    return sources.find(_preset(source, which), load_weights=False).is_detector


def _preset(source: str, which: str) -> str | Path:
    if not (Path(source) / SETTINGS).is_file():
        return source
    model = Path(source) / which
    if not model.is_dir():
        raise ValueError(f"The run {source} has no finished epoch yet: there is no {model}.")
    return model


def names_of(model: keras.Model) -> tuple[str, ...]:
    """Return the names of a model's classes, numbers where it has none."""
    return tuple(model.class_names or (f"class {i}" for i in range(model.num_classes)))
