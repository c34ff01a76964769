"""Training of image regressors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from cspdarknet.train.recipe import RegressionRecipe
from cspdarknet.train.recipes import load_recipe
from cspdarknet.train.tasks import RegressionTask, Row
from cspdarknet.train.trainer import Trainer


def train_regressor(
    data: Any,
    out: str | Path,
    model: str | Path = "csp_darknet_tiny_clothing",
    recipe: RegressionRecipe | str | Path = "finetune",
    *,
    targets: Sequence[str] | None = None,
    load_weights: bool | None = None,
    validation_split: float = 0.15,
    on_problem: str = "raise",
    format: str | None = None,
    check: bool = True,
    workers: int = 2,
    log: Sequence[str] = (),
    auto_batch_size: bool = False,
    image_cache: str | Path | None = None,
    console: Console | None = None,
) -> list[Row]:
    """Train an image regressor, which predicts one number or more for an image.

    The loss is one of errors in standard deviations of each target in the training images, so that
    targets of any units count alike. The best epoch is the one with the highest mean of R2 over the
    targets on the validation images.

    An interrupted training continues after its last finished epoch when it is called again with
    the same arguments, and ends with the same weights.

    Args:
        data: the dataset, as `cspdarknet.data.load_regression_dataset` takes it.
        out: the run folder, as of `train_classifier`.
        model: the model to start from: everything that `ImageRegressor.from_preset` takes. The
            default, a classifier, is bundled with this package.
        recipe: a `RegressionRecipe`; or the name of one: `"finetune"` or `"scratch"`; or a JSON
            file.
        targets: names of the columns of the targets; `None` for all columns of numbers.
        load_weights: `False` starts from random weights, even if the model has trained ones.
        validation_split: fraction of the images to validate on, if the dataset has no validation
            split.
        on_problem: what is done about missing images and numbers: `"raise"` an error; or `"fix"`:
            leave these images out, and list them in the run's `problems.csv`.
        format: name of the format of the dataset; `None` to recognize it.
        check: whether each image is decoded once before the training, and damaged ones are skipped.
        workers: number of threads that read and augment images.
        log: trackers of experiments, as for `train_classifier`.
        auto_batch_size: as for `train_classifier`.
        image_cache: as for `train_classifier`.
        console: the console that shows the progress; `None` for the standard output.

    Returns:
        The metrics of each epoch: the rows of `metrics.csv`.

    Raises:
        ValueError: if the dataset, the recipe or the run folder cannot be used.
        ImportError: if a package that the training needs is not installed.

    Example:
        >>> from cspdarknet.train import Phase, RegressionRecipe
        >>> for i in range(6):
        ...     Image.new("L", (48, 48), 40 * i).save(f"{i}.png")
        >>> pairs = [(f"{i}.png", {"brightness": i / 5}) for i in range(6)]
        >>> recipe = RegressionRecipe((Phase(2, 32),), batch_size=2)
        >>> history = train_regressor(pairs, "run", recipe=recipe, console=Console(quiet=True))
        >>> len(history), ImageRegressor.from_preset("run/best").targets
        (2, ('brightness',))
    """
    return Trainer(
        RegressionTask(load_recipe(recipe, "regression"), on_problem, format, columns=targets),
        data,
        out,
        model,
        load_weights,
        validation_split,
        check,
        workers,
        log,
        console or Console(),
        auto_batch_size,
        image_cache,
    ).train()
