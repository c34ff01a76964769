"""Trainings on rectangular images of other than three channels."""

import dataclasses

import numpy as np
import pytest

from cspdarknet import Predictor, load_model
from cspdarknet.data import load_classification_dataset, load_detection_dataset
from cspdarknet.evaluate import evaluate_classifier, evaluate_detector
from cspdarknet.images import read_image
from cspdarknet.models import CSPDarkNetBackbone
from cspdarknet.train import train_classifier, train_detector
from image_datasets import QUICK, write_class_folders, write_yolo_dataset
from training_runs import DETECTION

pytestmark = pytest.mark.one_backend

SIZE, CHANNELS = (32, 64), 4


@pytest.fixture
def backbone(tmp_path):
    widths = [8, 8, 8, 8]
    model = CSPDarkNetBackbone(widths, [1, 1, 1, 1], include_rescaling=True)
    model.save_to_preset(tmp_path / "backbone")
    return tmp_path / "backbone"


def as_fields(folder):
    """Replace the images of a dataset by arrays of four channels in 16 bits."""
    for path in sorted(folder.rglob("*.png")):
        rgb = read_image(path)
        field = np.concatenate([rgb, rgb[..., :1]], axis=2).astype("uint16") * 257
        np.save(path.with_suffix(".npy"), field)
        path.unlink()
    return folder


@pytest.mark.parametrize("task", ["classification", "detection"])
def test_a_training(tmp_path, backbone, task):
    detects = task == "detection"
    write = write_yolo_dataset if detects else write_class_folders
    data = as_fields(write(tmp_path / "data", 4))
    recipe = DETECTION if detects else QUICK
    phases = tuple(dataclasses.replace(phase, epochs=1, image_size=SIZE) for phase in recipe.phases)
    recipe = dataclasses.replace(recipe, phases=phases, channels=CHANNELS, batch_size=2)
    train = train_detector if detects else train_classifier
    history = train(data, tmp_path / "run", backbone, recipe)
    assert history[-1]["image_size"] == "32x64"
    assert (tmp_path / "run/report.html").exists()
    model = load_model(tmp_path / "run")
    assert (model.channels, model.image_size) == (CHANNELS, SIZE)
    evaluate = evaluate_detector if detects else evaluate_classifier
    load = load_detection_dataset if detects else load_classification_dataset
    evaluation = evaluate(Predictor(model, runtime="keras"), load(data, 0.5).validation)
    assert not evaluation.errors
    # The same settings again: there is nothing left to do, and no difference to report.
    assert train(data, tmp_path / "run", backbone, recipe) == history


def test_images_of_other_channels_are_named(tmp_path, backbone):
    data = write_class_folders(tmp_path / "data", 2)
    recipe = dataclasses.replace(QUICK, channels=CHANNELS)
    with pytest.raises(ValueError, match=r"needs a readable image|all of them are damaged"):
        train_classifier(data, tmp_path / "run", backbone, recipe)
