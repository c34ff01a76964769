"""Options with choices, whose values are those that the modules take."""

import pytest

from cspdarknet.analysis import classifiers, explainer, neighbors
from cspdarknet.cli import choices
from cspdarknet.data.classification.find import ON_PROBLEM
from cspdarknet.data.formats import FORMATS
from cspdarknet.data.packs.manifest import SUFFIXES
from cspdarknet.data.writers.split import STRATEGIES
from cspdarknet.data.writers.write import WRITERS
from cspdarknet.export import formats as export_formats
from cspdarknet.export.inference_graph import INPUTS
from cspdarknet.inference import devices, features, runtimes
from cspdarknet.inference.result_formats import RESULT_FORMATS
from cspdarknet.inference.tracks import TRACKERS
from cspdarknet.models.load import TASKS
from cspdarknet.train import CLASSIFICATION_RECIPES, DETECTION_RECIPES, recipe
from support import run_command

pytestmark = pytest.mark.one_backend

TAKEN = {
    "RUNTIMES": (*runtimes.RUNTIMES, "fastest"),
    "PRECISIONS": runtimes.PRECISIONS,
    "DEVICES": devices.DEVICES,
    "ON_PROBLEM": ON_PROBLEM,
    "DATASET_FORMATS": [format.name for format in FORMATS],
    "WRITTEN_FORMATS": WRITERS,
    "PACKED_FORMATS": SUFFIXES,
    "SPLIT_BY": STRATEGIES,
    "FEATURE_FORMATS": features.FORMATS,
    "SEARCH_METHODS": neighbors.METHODS,
    "PROBE_METHODS": (*classifiers.METHODS, "both"),
    "EXPLAIN_METHODS": explainer.METHODS,
    "RESULT_FORMATS": ("images", *RESULT_FORMATS),
    "ENGINES": ("local", "ray"),
    "TRACKERS": TRACKERS,
    "EXPORT_FORMATS": export_formats.FORMATS,
    "EXPORT_PRECISIONS": export_formats.PRECISIONS,
    "EXPORT_INPUTS": INPUTS,
    "RECIPES": {**CLASSIFICATION_RECIPES, **DETECTION_RECIPES},
    "TRAINING_PRECISIONS": recipe.PRECISIONS,
    "CLASS_WEIGHTS": recipe.CLASS_WEIGHTS,
}


@pytest.mark.parametrize("name", TAKEN)
def test_the_choices_are_those_of_the_modules(name):
    assert sorted(getattr(choices, name)) == sorted(TAKEN[name])


def test_tasks():
    assert {None, *choices.MODEL_TASKS} == set(TASKS)


@pytest.mark.parametrize(
    "arguments",
    [
        ("detect", "model", "a.jpg", "--runtime"),
        ("predict", "model", "a.jpg", "--precision"),
        ("features", "model", "a.jpg", "--out", "out", "--format"),
        ("export", "model", "a.onnx", "--inputs"),
        ("convert", "model", "out", "--task"),
        ("evaluate", "model", "data", "--on-problem"),
        ("train", "data", "--out", "out", "--task"),
        ("train", "data", "--out", "out", "--class-weights"),
        ("data", "check", "data", "--format"),
        ("data", "convert", "data", "out", "--to"),
        ("data", "split", "data", "out", "--by"),
        ("data", "pack", "data", "out", "--to"),
    ],
)
def test_another_value_is_an_error_that_lists_the_choices(arguments):
    result = run_command(*arguments, "other")
    assert result.exit_code == 2
    assert f"Invalid value for '{arguments[-1]}': 'other' is not one of '" in result.output


def test_choices_are_taken_in_any_case_and_completed():
    option = choices.choice(("COCO", "CVAT"), help="")
    assert option.callback("coco") == "COCO"
    assert option.callback(None) is None
    assert option.autocompletion("c") == ["COCO", "CVAT"]
    assert option.autocompletion("cv") == ["CVAT"]
