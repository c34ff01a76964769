"""Differences between the settings of two trainings, in words."""

import json
from dataclasses import replace

import pytest

from cspdarknet.train import CLASSIFICATION_RECIPES, DETECTION_RECIPES, customize
from cspdarknet.train.differences import differences

pytestmark = pytest.mark.one_backend

RECIPE = CLASSIFICATION_RECIPES["finetune"]
SETTINGS = {
    **{"task": "classification", "load_weights": None, "class_names": ["a", "b"]},
    **{"data": "images", "versions": {"keras": "3"}, "recipe": RECIPE.to_json()},
    "splits": {"train": {"images": 9, "sha256": "1"}, "validation": {"images": 3, "sha256": "2"}},
}


def changed(**changes):
    return differences(SETTINGS, json.loads(json.dumps({**SETTINGS, **changes})))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"epochs": 30, "image_size": 192}, ["epochs 12 → 30", "image size 160 → 192"]),
        ({"epochs": 1}, ["epochs 12 → 1"]),
        ({"batch_size": 8, "seed": 5}, ["batch size 32 → 8", "seed 0 → 5"]),
        ({"mix": 0.5}, [f"mix {RECIPE.augmentation.mix} → 0.5"]),
    ],
)
def test_options_of_the_command(changes, expected):
    assert changed(recipe=customize(RECIPE, **changes).to_json()) == expected


def test_other_phases_of_the_same_length():
    phases = (*RECIPE.phases[:-1], replace(RECIPE.phases[-1], learning_rate=0.25))
    rates = [f"{phase.learning_rate}" for phase in RECIPE.phases]
    expected = f"{', '.join(rates)} → {', '.join(rates[:-1])}, 0.25"
    recipe = replace(RECIPE, phases=phases).to_json()
    assert changed(recipe=recipe) == [f"learning rate of the phases {expected}"]


def test_all_else():
    other = {"train": {"images": 9, "sha256": "3"}, "validation": {"images": 4, "sha256": "4"}}
    assert changed(splits=other) == [
        "training images with other files or annotations",
        "validation images 3 → 4",
    ]
    assert changed(class_names=list("abcdefg")) == ["class names a, b → a, b, c, d, e, …"]
    assert changed(load_weights=False) == ["load weights default → no"]
    assert changed(data="elsewhere", versions={}) == []
    names = [text.split()[0] for text in changed(recipe=DETECTION_RECIPES["finetune"].to_json())]
    assert names[0] == "epochs"
