"""Train an image classifier on a folder of photos, into a run folder."""

from pathlib import Path

import numpy as np
from rich.console import Console

from cspdarknet.data.classification.dataset import (
    ClassificationDataset,
    ClassificationSplits,
    load_classification_dataset,
)
from cspdarknet.data.pipeline import ClassificationSource
from cspdarknet.models import ImageClassifier
from cspdarknet.reports.classification import write_run_report
from cspdarknet.train import distributed
from cspdarknet.train.display import Display
from cspdarknet.train.loop import BEST, Training, check_trained_part
from cspdarknet.train.recipe import ClassificationRecipe, load_recipe
from cspdarknet.train.run_folder import RunFolder
from cspdarknet.train.tasks import Classification, Row
from cspdarknet.train.trainer import (
    begin_random,
    check_arguments,
    claimed,
    fit,
    settings_of,
    usable,
)


def train_classifier(
    data: str | Path,
    out: str | Path,
    preset: str | Path = "csp_darknet_tiny",
    recipe: ClassificationRecipe | str | Path = "finetune",
    *,
    load_weights: bool | None = None,
    validation_split: float = 0.15,
    check: bool = True,
    workers: int = 2,
    tensorboard: bool = False,
    console: Console | None = None,
) -> list[Row]:
    """Train a classifier; call it again with the same arguments to go on after an interruption.

    Args:
        data: photos by class: see `cspdarknet.data.load_classification_dataset`.
        out: the run folder. It holds settings, metrics, the best and the last model as presets,
            pictures, a report, and the state that an interrupted run goes on from.
        preset: the backbone or classifier to start from.
        recipe: a `ClassificationRecipe`, the name of one (`"finetune"`, `"scratch"`, `"imagenet"`), or a JSON
            file.
        load_weights: `False` starts from random weights although the preset has trained ones.
        validation_split: share of each class to validate on, where the data have no such part.
        check: decode every photo once before the training, and leave out those that are damaged.
        workers: number of threads that read photos.
        tensorboard: write the figures for TensorBoard too.
        console: where progress is shown; `None` for the standard output.

    Returns:
        The figures of each epoch, as in `metrics.csv`.

    Raises:
        ValueError: if the data, the recipe or the folder cannot be used.
        ImportError: if a package for training is missing.

    Example:
        >>> from cspdarknet.train import CLASSIFICATION_RECIPES, customize
        >>> for name in ("cat/1", "cat/2", "dog/1", "dog/2"):
        ...     path = Path(f"pets/{name}.png")
        ...     path.parent.mkdir(parents=True, exist_ok=True)
        ...     Image.new("RGB", (48, 48), "navy").save(path)
        >>> recipe = customize(CLASSIFICATION_RECIPES["scratch"], epochs=3, image_size=32, batch_size=2)
        >>> history = train_classifier("pets", "run", recipe=recipe, console=Console(quiet=True))
        >>> len(history), ImageClassifier.from_preset("run/best").class_names
        (3, ('cat', 'dog'))

    References:
        The recipes are described in `cspdarknet.train.recipe`.
    """
    console = console or Console()
    recipe = recipe if isinstance(recipe, ClassificationRecipe) else load_recipe(recipe)
    check_arguments(data, out, recipe, workers, tensorboard)
    run = RunFolder(out)
    with claimed(run):
        splits = load_classification_dataset(data, validation_split, recipe.seed)
        settings = settings_of("classify", data, preset, load_weights, recipe, splits)
        if distributed.is_first_process():
            run.begin(settings)
        splits = usable(run, splits, check, workers, console)
        _check_classes(splits.train)
        training = _training(run, splits, preset, load_weights, recipe, workers, console)
        history = fit(training, tensorboard)
        if distributed.is_first_process():
            _report(run, splits, training, console)
    return history


def _check_classes(photos: ClassificationDataset) -> None:
    """Refuse classes of which no readable photo is left."""
    if empty := [photos.class_names[i] for i in np.flatnonzero(photos.counts == 0)]:
        raise ValueError(f"No readable photo is left of {', '.join(empty)}.")


def _training(
    run: RunFolder,
    splits: ClassificationSplits,
    preset: str | Path,
    load_weights: bool | None,
    recipe: ClassificationRecipe,
    workers: int,
    console: Console,
) -> Training:
    """Build the model and everything that the loop needs."""
    distributed.prepare()
    begin_random(recipe.seed)
    model = ImageClassifier.from_preset(
        preset,
        load_weights,
        num_classes=len(splits.class_names),
        class_names=splits.class_names,
        activation=None,
        dropout=recipe.dropout,
        image_size=recipe.image_size,
        batch_norm_momentum=recipe.batch_norm_momentum,
        dtype=recipe.precision,
    )
    for stage in recipe.stages:
        check_trained_part(model, stage.train)
    run.check_space(4 * model.count_params())
    model.backbone.freeze(None)
    with distributed.on_one_device():
        finished = ImageClassifier.from_config({**model.get_config(), "activation": "softmax"})
    source = ClassificationSource(
        splits.train,
        recipe.augmentation,
        recipe.batch_size,
        recipe.seed,
        class_weights(splits.train, recipe.class_weights),
        workers,
        distributed.process_share(),
    )
    task = Classification(splits.validation, recipe.label_smoothing)
    display = Display(console, recipe.epochs, task.figures, task.validation_figures)
    return Training(task, model, finished, source, recipe, run, display)


def class_weights(photos: ClassificationDataset, kind: str) -> np.ndarray | None:
    """Return the weight of each class in the loss; over all photos they average 1."""
    if kind == "equal":
        return None
    return (len(photos) / (len(photos.class_names) * photos.counts)).astype("float32")


def _report(
    run: RunFolder, splits: ClassificationSplits, training: Training, console: Console
) -> None:
    with console.status("writing the report"), distributed.on_one_device():
        best = ImageClassifier.from_preset(run.path / BEST)
        write_run_report(run, best, splits, training.history, training.source.workers)
