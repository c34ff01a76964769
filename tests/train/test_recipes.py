"""The recipes of the package, and recipes from files."""

import json

import pytest

from cspdarknet.train import CLASSIFICATION_RECIPES, DETECTION_RECIPES, load_recipe

pytestmark = pytest.mark.one_backend

ALL = [("classification", name) for name in CLASSIFICATION_RECIPES] + [
    ("detection", name) for name in DETECTION_RECIPES
]


@pytest.mark.parametrize(("task", "name"), ALL)
def test_recipes_survive_json(task, name, tmp_path):
    recipe = load_recipe(name, task)
    path = tmp_path / "recipe.json"
    path.write_text(json.dumps(recipe.to_json()))
    assert load_recipe(path, task) == recipe
    path.write_text(json.dumps({"task": task, "recipe": recipe.to_json()}))  # as in run.json
    assert load_recipe(str(path), task) == recipe


def test_the_recipe_of_kerascv():
    recipe = CLASSIFICATION_RECIPES["imagenet"]
    assert (recipe.epochs, recipe.image_size, recipe.batch_size) == (300, 224, 512)
    assert (recipe.learning_rate, recipe.weight_decay) == (0.0125 * 8, 5e-4)
    fractions = recipe.warmup_fraction, recipe.hold_fraction, recipe.label_smoothing
    assert fractions == (0.01, 0.45, 0.1)
    assert recipe.augmentation.crop_area == (0.8, 1.0)
    assert recipe.augmentation.mix == 1.0


def test_the_recipe_of_yolox():
    recipe = DETECTION_RECIPES["coco"]
    assert (recipe.epochs, recipe.image_size, recipe.batch_size) == (300, 640, 64)
    assert (recipe.optimizer, recipe.learning_rate) == ("sgd", 0.01)
    assert (recipe.phases[-1].epochs, recipe.phases[-1].no_mixing) == (15, True)


def test_a_recipe_of_the_task_is_returned_as_it_is():
    recipe = DETECTION_RECIPES["coco"]
    assert load_recipe(recipe, "detection") is recipe
    with pytest.raises(ValueError, match=r"needs a ClassificationRecipe\. Received: a DetectionR"):
        load_recipe(recipe, "classification")


def test_recipes_that_do_not_exist(tmp_path):
    with pytest.raises(ValueError, match="'missing': choose finetune, scratch, imagenet, or a J"):
        load_recipe("missing", "classification")
    with pytest.raises(ValueError, match="'imagenet': choose finetune, scratch, coco, or a J"):
        load_recipe("imagenet", "detection")
    with pytest.raises(ValueError, match="`task` must be one of 'classification', 'detection'"):
        load_recipe("finetune", "classify")


@pytest.mark.parametrize("text", ["[", "[]", "{}", '{"recipe": 1}', '{"phases": 1}', "\udcff"])
def test_files_that_hold_no_recipe(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(ValueError, match=r"a\.json is not a classification recipe: "):
        load_recipe(path, "classification")


def test_an_unknown_key_is_named(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"phases": [{"epochs": 1}], "warmup": 0.1}')
    with pytest.raises(ValueError, match=r"unknown key 'warmup': .*warmup_fraction"):
        load_recipe(path, "classification")
