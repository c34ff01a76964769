"""What `evaluate` and `predict` share: the classifier that an argument names."""

from pathlib import Path

from cspdarknet.models import ImageClassifier
from cspdarknet.run_folder import SETTINGS


def load_classifier(source: str, which: str = "best") -> ImageClassifier:
    """Return the model of a run folder, or a preset's."""
    if (Path(source) / SETTINGS).is_file():
        model = Path(source) / which
        if not model.is_dir():
            raise ValueError(f"The run {source} has no finished epoch yet: there is no {model}.")
        return ImageClassifier.from_preset(model)
    return ImageClassifier.from_preset(source)


def names_of(model: ImageClassifier) -> tuple[str, ...]:
    """Return the names of a model's classes, numbers where it has none."""
    return tuple(model.class_names or (f"class {i}" for i in range(model.num_classes)))
