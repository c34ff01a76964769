"""Loading of a model of any task from whatever names it."""

from pathlib import Path

import keras

from cspdarknet.models.backbone import CSPDarkNetBackbone
from cspdarknet.models.classifier import ImageClassifier
from cspdarknet.models.detector import YOLOXDetector
from cspdarknet.presets import sources
from cspdarknet.train.run_folder import model_folder


def load_model(source: str | Path) -> keras.Model:
    """Return the backbone, classifier or detector of a preset or a run folder."""
    preset = model_folder(source)
    files = sources.find(preset, load_weights=False)
    if files.head is None:
        return CSPDarkNetBackbone.from_preset(preset)
    return (YOLOXDetector if files.is_detector else ImageClassifier).from_preset(preset)
