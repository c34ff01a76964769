"""Tiny datasets and presets, and a finished run of each task, that the tests of trainings share."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import pytest
from rich.console import Console

from cspdarknet.models import CSPDarkNetBackbone
from cspdarknet.train import (
    DetectionRecipe,
    Phase,
    train_classifier,
    train_detector,
)
from image_datasets import QUICK, write_class_folders, write_preset, write_yolo_dataset

# Mosaics in the first phase, and an epoch without an evaluation.
DETECTION = DetectionRecipe(
    phases=(Phase(2, 64), Phase(1, 64, no_mixing=True)),
    batch_size=4,
    layer_decay=0.8,
    batch_norm_momentum=0.5,
    ema_decay=0.9,
    evaluate_every=2,
    max_boxes=12,
)


class Run(NamedTuple):
    """A finished run.

    Attributes:
        path: the run folder.
        history: metrics of each epoch.
        train: trains with the same dataset, preset and recipe: `train(out=..., recipe=...)`.
        recipe: the recipe.
        data: the dataset.
        preset: the preset that it started from.
    """

    path: Path
    history: list[dict[str, Any]]
    train: Callable[..., list[dict[str, Any]]]
    recipe: Any
    data: Path
    preset: Path

    def weights(self, which="last", out=None):
        """The arrays of a saved model, by their path in its weight file."""
        arrays = {}

        def collect(path, item):
            if isinstance(item, h5py.Dataset):
                arrays[path] = item[()]

        with h5py.File((out or self.path) / which / "model.weights.h5") as file:
            file.visititems(collect)
        return arrays


def _finished_run(function, data, preset, recipe, folder):
    train = partial(function, data, model=preset, recipe=recipe, console=Console(quiet=True))
    return Run(folder, train(out=folder), train, recipe, data, preset)


@pytest.fixture(scope="session")
def classification_run(tmp_path_factory):
    """A classifier's run that nothing interrupted. Tests must not change it."""
    folder = tmp_path_factory.mktemp("classification")
    data, preset = write_class_folders(folder / "images", 3), write_preset(folder / "preset")
    return _finished_run(train_classifier, data, preset, QUICK, folder / "run")


@pytest.fixture(scope="session")
def detection_run(tmp_path_factory):
    """A detector's run that nothing interrupted. Tests must not change it."""
    folder = tmp_path_factory.mktemp("detection")
    data = write_yolo_dataset(folder / "images", 5)
    backbone = CSPDarkNetBackbone([8, 12, 16], [1, 1, 1], include_rescaling=True)
    backbone.save_to_preset(folder / "preset")
    return _finished_run(train_detector, data, folder / "preset", DETECTION, folder / "run")
