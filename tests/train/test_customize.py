"""Recipes with some values replaced."""

import pytest

from cspdarknet.data import ClassificationAugmentation
from cspdarknet.train import CLASSIFICATION_RECIPES, DETECTION_RECIPES, customize

pytestmark = pytest.mark.one_backend

FINETUNE = CLASSIFICATION_RECIPES["finetune"]


@pytest.mark.parametrize("epochs", [3, 4, 5, 7, 12, 100])
def test_epochs_are_divided_in_the_ratio_of_the_phases(epochs):
    changed = customize(FINETUNE, epochs=epochs)
    assert changed.epochs == epochs
    assert all(phase.epochs >= 1 for phase in changed.phases)
    exact = [phase.epochs / 12 * epochs for phase in FINETUNE.phases]
    assert all(abs(p.epochs - e) <= 1 for p, e in zip(changed.phases, exact, strict=True))


def test_fewer_epochs_than_phases():
    """The last phases are kept: they train the most layers, at the final image size."""
    for recipe in (*CLASSIFICATION_RECIPES.values(), *DETECTION_RECIPES.values()):
        for epochs in (1, 2):
            changed = customize(recipe, epochs=epochs)
            assert changed.epochs == epochs
            assert changed.image_size == recipe.image_size
            assert changed.phases[-1].train == recipe.phases[-1].train
    with pytest.raises(ValueError, match="`epochs` must be an integer"):
        customize(FINETUNE, epochs=0)


def test_few_epochs_of_a_detector_are_those_of_its_short_phase():
    """All layers are trained from the start, without mixing."""
    recipe = customize(DETECTION_RECIPES["finetune"], image_size=224)
    (phase,) = customize(recipe, epochs=3).phases
    assert (phase.epochs, phase.train, phase.image_size) == (3, "all", 224)
    assert phase.no_mixing
    assert phase.learning_rate == 1
    assert len(customize(recipe, epochs=recipe.short.epochs).phases) == 1
    assert len(customize(recipe, epochs=recipe.short.epochs + 1).phases) == 3
    assert type(recipe).from_json(recipe.to_json()) == recipe


def test_image_sizes_keep_their_ratio():
    changed = customize(CLASSIFICATION_RECIPES["scratch"], image_size=256)
    assert [phase.image_size for phase in changed.phases] == [128, 192, 256]


@pytest.mark.parametrize("size", [28, 48, 112, 150])
def test_the_last_phase_has_the_largest_images(size):
    phases = customize(FINETUNE, image_size=size).phases
    assert max(phase.image_size for phase in phases) == phases[-1].image_size == size


def test_attributes_of_recipe_and_augmentation():
    changed = customize(DETECTION_RECIPES["coco"], seed=3, mosaic=0.25, patience=None)
    assert (changed.seed, changed.augmentation.mosaic, changed.patience) == (3, 0.25, 0)
    assert changed.augmentation.mixup == DETECTION_RECIPES["coco"].augmentation.mixup
    whole = customize(FINETUNE, augmentation=ClassificationAugmentation(mix=0.5), erase=0)
    assert whole.augmentation == ClassificationAugmentation(mix=0.5, erase=0)
    assert customize(FINETUNE) == FINETUNE


def test_an_attribute_that_does_not_exist():
    with pytest.raises(ValueError, match="ClassificationRecipe has no attribute 'mosaic'"):
        customize(FINETUNE, mosaic=1.0)


def test_rectangular_sizes_keep_their_ratio():
    changed = customize(DETECTION_RECIPES["scratch"], image_size=(384, 640))
    sizes = [phase.image_size for phase in changed.phases]
    assert sizes == [(192, 320), (288, 480), (384, 640), (384, 640)]
    assert changed.image_size == (384, 640)
    assert type(changed).from_json(changed.to_json()) == changed
    with pytest.raises(ValueError, match=r"must be a multiple of 32.*\(384, 650\)"):
        customize(DETECTION_RECIPES["scratch"], image_size=(384, 650))
    with pytest.raises(ValueError, match="`channels` must be an integer"):
        customize(FINETUNE, channels=0)
