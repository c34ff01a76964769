"""Training: recipes, the loop, and run folders that an interrupted training goes on from."""

from cspdarknet.train.classifier import train_classifier
from cspdarknet.train.recipe import RECIPES, Recipe, Stage, customize, load_recipe

__all__ = ["RECIPES", "Recipe", "Stage", "customize", "load_recipe", "train_classifier"]
