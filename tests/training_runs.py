"""Finished trainings of tiny models, for tests of trainings."""

import csv
import dataclasses
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import h5py
import numpy as np
from rich.console import Console

from cspdarknet.models import CSPDarkNetBackbone
from cspdarknet.reports import evaluation
from cspdarknet.train import (
    DetectionRecipe,
    Phase,
    train_classifier,
    train_detector,
)
from image_datasets import QUICK, write_class_folders, write_preset, write_yolo_dataset

# What differs between two runs of the same training: times, and names that Keras has numbered.
TIMES = ("seconds", "images_per_second")
DATED = ("metadata.json", "run.json", "metrics.csv", "metrics.jsonl", "state.npz", "report.html")
FREE = (*DATED, "evaluation.json", "curves.png", "config.json")

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
        train: trains with the same dataset, preset and recipe: `train(out=..., recipe=...)`. The
            pictures of its report are empty, as drawing them takes half of the time; not with
            `pictures=True`.
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
    options = {"model": preset, "recipe": recipe, "console": Console(quiet=True)}
    train = partial(quick_training, function, data, **options)
    return Run(folder, train(out=folder, pictures=True), train, recipe, data, preset)


def quick_training(function, *args, pictures=False, **options):
    """Train; the pictures of the report are empty, unless they are wanted."""
    write = evaluation.write_picture

    def write_empty(folder, picture):
        return write(folder, dataclasses.replace(picture, draw=lambda file: None))

    replaced = mock.patch.object(evaluation, "write_picture", write_empty)
    with nullcontext() if pictures else replaced:
        return function(*args, **options)


def quiet_run(function, data, preset, recipe, folder):
    """A finished run whose report has empty pictures."""
    options = {"model": preset, "recipe": recipe, "console": Console(quiet=True)}
    train = partial(quick_training, function, data, **options)
    return Run(folder, train(out=folder), train, recipe, data, preset)


def finished_run_of_a_classifier(folder):
    """A run on a tiny dataset, in new folders below `folder`."""
    data, preset = write_class_folders(folder / "images", 3), write_preset(folder / "preset")
    return _finished_run(train_classifier, data, preset, QUICK, folder / "run")


def finished_run_of_a_detector(folder):
    """A run on a tiny dataset, in new folders below `folder`."""
    data = write_yolo_dataset(folder / "images", 5)
    backbone = CSPDarkNetBackbone([8, 12, 16], [1, 1, 1], include_rescaling=True)
    backbone.save_to_preset(folder / "preset")
    return _finished_run(train_detector, data, folder / "preset", DETECTION, folder / "run")


def _rows(run):
    with (run / "metrics.csv").open() as file:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in csv.DictReader(file)]


def assert_same_run(run, out):
    """A continued run has the files of one that nothing interrupted, with the same content."""
    names = {path.relative_to(run) for path in run.rglob("*")}
    assert {path.relative_to(out) for path in out.rglob("*")} == names
    for name in names:
        if (run / name).is_file() and name.name not in FREE:
            assert (out / name).read_bytes() == (run / name).read_bytes(), name
    assert _rows(out) == _rows(run)
    with np.load(run / "state.npz") as expected, np.load(out / "state.npz") as state:
        assert expected.files == state.files
        for key in set(expected.files) - {"history"}:
            np.testing.assert_array_equal(state[key], expected[key])
