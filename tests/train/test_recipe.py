"""Recipes: frozen dataclasses that check themselves."""

import json

import numpy as np
import pytest

from cspdarknet.tiles import Tiles
from cspdarknet.train import ClassificationRecipe, DetectionRecipe, Phase
from cspdarknet.train.recipe import BaseRecipe

pytestmark = pytest.mark.one_backend


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"phases": ()}, "`phases` must hold at least one phase"),
        ({"optimizer": "adam"}, "`optimizer` must be one of 'adamw', 'sgd'. Received: .*'adam'"),
        ({"precision": "float8"}, "`precision` must be one of"),
        ({"class_weights": "some"}, "`class_weights` must be one of"),
        ({"batch_size": 0}, "`batch_size` must be an integer, at least 1"),
        ({"batch_size": 1.5}, "`batch_size` must be an integer"),
        ({"seed": -1}, "`seed` must be an integer, at least 0"),
        ({"learning_rate": 0}, "`learning_rate` must be a number greater than 0"),
        ({"learning_rate": "1"}, "`learning_rate` must be a number"),
        ({"weight_decay": -1}, "`weight_decay` must be a number at least 0"),
        ({"clip_norm": float("nan")}, "`clip_norm` must be a number"),
        ({"layer_decay": 1.5}, "`layer_decay` must be a number, at least 0 and at most 1"),
        ({"layer_decay": 0}, "`layer_decay` must be a number greater than 0"),
        ({"warmup_fraction": 0.7, "hold_fraction": 0.7}, "must sum to at most 1"),
        ({"focal_gamma": -1}, "`focal_gamma` must be a number at least 0"),
        ({"label_smoothing": -0.1}, "`label_smoothing` must be a number, at least 0"),
    ],
)
def test_values_out_of_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        ClassificationRecipe(**{"phases": (Phase(1),), **wrong})


@pytest.mark.parametrize(
    "name",
    ["ema_decay", "batch_norm_momentum", "final_learning_rate_ratio", "label_smoothing", "dropout"],
)
def test_fractions_that_may_not_be_one(name):
    with pytest.raises(ValueError, match=f"`{name}` must be .* at least 0 and less than 1. Rec"):
        ClassificationRecipe((Phase(1),), **{name: 1.0})
    assert getattr(ClassificationRecipe((Phase(1),), **{name: 0}), name) == 0


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"epochs": 0}, "`epochs` must be an integer, at least 1"),
        ({"image_size": 32.0}, "`image_size` must be an integer"),
        ({"learning_rate": -1}, "`learning_rate` must be a number greater than 0"),
        ({"no_mixing": "no"}, "`no_mixing` must be True or False"),
    ],
)
def test_phases_out_of_range(wrong, message):
    with pytest.raises(ValueError, match=message):
        Phase(**{"epochs": 1, **wrong})


def test_image_sizes_of_a_detector():
    with pytest.raises(ValueError, match=r"must be a multiple of 32\. Received: image_size=100"):
        DetectionRecipe((Phase(1, 64), Phase(1, 100)))
    with pytest.raises(ValueError, match="`max_boxes` must be an integer"):
        DetectionRecipe((Phase(1, 64),), max_boxes=0)


def test_numbers_of_numpy_are_accepted_and_stored_as_pythons():
    recipe = ClassificationRecipe(
        (Phase(np.int64(2), image_size=np.int32(64)),),
        batch_size=np.int64(4),
        ema_decay=np.float32(0),
    )
    json.dumps(recipe.to_json())
    assert recipe == ClassificationRecipe((Phase(2, 64),), batch_size=4, ema_decay=0)


def test_successive_phases_share_an_optimizer_while_they_train_the_same_layers_at_one_rate():
    phases = (Phase(2, 64), Phase(1, 96), Phase(1, 96, "P3"), Phase(1, 96, "P3", 0.5))
    groups = ClassificationRecipe(phases).epochs_by_optimizer
    assert groups == [[phases[0], phases[0], phases[1]], [phases[2]], [phases[3]]]


def test_epochs_and_phase_numbers():
    recipe = ClassificationRecipe((Phase(2), Phase(1), Phase(3)))
    assert recipe.epochs == 6
    assert [recipe.phase_number(epoch) for epoch in range(6)] == [1, 1, 2, 3, 3, 3]


@pytest.mark.parametrize(
    ("recipe_class", "scale", "size"),
    [
        (ClassificationRecipe, 1.0, 160),
        (ClassificationRecipe, 1.14, 184),
        (ClassificationRecipe, 0.001, 8),
        (DetectionRecipe, 1.14, 192),
        (DetectionRecipe, 0.001, 32),
    ],
)
def test_evaluation_sizes_are_multiples_that_the_model_takes(recipe_class, scale, size):
    recipe = recipe_class((Phase(1, 96), Phase(1, 160)), evaluation_scale=scale)
    assert recipe.image_size == recipe.evaluation_size(recipe.phases[1]) == size


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "the recipe needs the key 'phases'"),
        ({"phases": [], "stages": []}, "the recipe has the unknown key 'stages': .* phases, "),
        ({"phases": [{"x": 1}]}, r"phases\[0\] has the unknown key 'x': .* epochs, image_size"),
        ({"phases": [{"train": "all"}]}, r"phases\[0\] needs the key 'epochs'"),
        ({"phases": [3]}, r"phases\[0\] must be a JSON object"),
        ({"phases": [{"epochs": 1}], "augmentation": {"mosaics": 1}}, "augmentation has the unkn"),
        ({"phases": [{"epochs": 1, "image_size": 32}], "max_boxes": "9"}, "`max_boxes` must be"),
    ],
)
def test_json_that_is_not_a_recipe(content, message):
    with pytest.raises(ValueError, match=message):
        DetectionRecipe.from_json(content)


def test_json_without_optional_keys_takes_the_defaults():
    recipe = DetectionRecipe.from_json({"phases": [{"epochs": 1}], "augmentation": {"mosaic": 0.5}})
    assert recipe.phases == (Phase(1),)
    assert recipe.augmentation == type(recipe.augmentation)(mosaic=0.5)
    assert recipe.batch_size == BaseRecipe.batch_size


def test_tiles_of_a_recipe_survive_json():
    recipe = DetectionRecipe((Phase(1, 64),), tiles=Tiles(96, 0.3, with_whole=True))
    assert DetectionRecipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    assert DetectionRecipe.from_json({"phases": [{"epochs": 1}]}).tiles is None
    for tiles, message in (
        (96, "tiles must be a JSON object"),
        ({"side": 1}, "unknown key 'side'"),
    ):
        with pytest.raises(ValueError, match=message):
            DetectionRecipe.from_json({"phases": [{"epochs": 1}], "tiles": tiles})
    with pytest.raises(ValueError, match="`tiles` must be Tiles"):
        DetectionRecipe((Phase(1, 64),), tiles=96)


def test_levels_of_a_recipe_survive_json():
    recipe = DetectionRecipe((Phase(1, 64),), levels=["P2", "P3"])
    assert recipe.levels == ("P2", "P3")
    assert DetectionRecipe.from_json(json.loads(json.dumps(recipe.to_json()))) == recipe
    assert DetectionRecipe.from_json({"phases": [{"epochs": 1}]}).levels is None
    with pytest.raises(ValueError, match=r"`levels` must be one or more.*pass \('P2', 'P3'\)"):
        DetectionRecipe((Phase(1, 64),), levels=["P3", "P2"])
