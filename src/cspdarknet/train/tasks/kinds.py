"""The training task of each kind of labels."""

from typing import Any

from cspdarknet._labels import MULTI, ORDINAL, SINGLE
from cspdarknet.train.recipe import ClassificationRecipe
from cspdarknet.train.tasks.classification import ClassificationTask
from cspdarknet.train.tasks.multi_label import MultiLabelTask
from cspdarknet.train.tasks.ordinal import OrdinalTask

KINDS = {SINGLE: ClassificationTask, MULTI: MultiLabelTask, ORDINAL: OrdinalTask}


def classification_task(
    recipe: ClassificationRecipe, *args: Any, **options: Any
) -> ClassificationTask:
    """Return the task of a recipe, by the kind of its labels.

    Args:
        recipe: the recipe.
        *args: other arguments of `ClassificationTask`.
        **options: other arguments of `ClassificationTask`.
    """
    return KINDS[recipe.labels](recipe, *args, **options)
