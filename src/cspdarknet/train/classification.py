"""Training of image classifiers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from cspdarknet.train.recipe import ClassificationRecipe
from cspdarknet.train.recipes import load_recipe
from cspdarknet.train.tasks import Row, classification_task
from cspdarknet.train.teacher import Teacher, as_teacher
from cspdarknet.train.trainer import Trainer


def train_classifier(
    data: Any,
    out: str | Path,
    model: str | Path = "csp_darknet_tiny_clothing",
    recipe: ClassificationRecipe | str | Path = "finetune",
    *,
    load_weights: bool | None = None,
    validation_split: float = 0.15,
    on_problem: str = "raise",
    format: str | None = None,
    check: bool = True,
    workers: int = 2,
    log: Sequence[str] = (),
    auto_batch_size: bool = False,
    image_cache: str | Path | None = None,
    teacher: str | Path | Teacher | None = None,
    class_names: Sequence[str] | None = None,
    console: Console | None = None,
) -> list[Row]:
    """Train an image classifier.

    An interrupted training continues after its last finished epoch when it is called again with
    the same arguments, and ends with the same weights.

    Args:
        data: the dataset, as `cspdarknet.data.load_classification_dataset` takes it.
        out: the run folder. It gets settings, metrics, the best and the last model as presets,
            pictures, a report, and the state that an interrupted training continues from.
        model: the classifier or backbone to start from: everything that
            `ImageClassifier.from_preset` takes. The default is bundled with this package.
        recipe: a `ClassificationRecipe`; or the name of one: `"finetune"`, `"scratch"` or
            `"imagenet"`; or a JSON file.
        load_weights: `False` starts from random weights, even if the model has trained ones.
        validation_split: fraction of each class to validate on, if the dataset has no validation
            split.
        on_problem: what is done about invalid annotations: `"raise"` an error; or `"fix"` them by
            leaving images out, and list them in the run's `problems.csv`.
        format: name of the format of the dataset; `None` to recognize it.
        check: whether each image is decoded once before the training, and damaged ones are skipped.
        workers: number of threads that read and augment images.
        log: trackers of experiments: any of `"tensorboard"`, `"wandb"` and `"mlflow"`, with a
            project if one is wanted, as in `"mlflow:cells"`.
        auto_batch_size: whether to train with the largest batch that fits into memory, and to
            accumulate gradients to the recipe's batch. A run that is continued keeps what it began
            with.
        image_cache: folder to keep decoded images in, which later epochs and trainings read in
            place of the image files, with the same result; `"disk"` for one in the user's cache
            folder. `None` keeps none.
        teacher: a larger model of the same classes, whose outputs are targets, too (distillation):
            a `Teacher`, or everything that `load_model` takes.
        class_names: all classes in the order of their ids, from low to high for a recipe with
            `labels="ordinal"`; `None` for the order of the dataset.
        console: the console that shows the progress; `None` for the standard output.

    Returns:
        The metrics of each epoch: the rows of `metrics.csv`.

    Raises:
        ValueError: if the dataset, the recipe or the run folder cannot be used.
        ImportError: if a package that the training needs is not installed.

    Example:
        >>> from cspdarknet.train import ClassificationRecipe, Phase
        >>> for name in ("cat/1", "cat/2", "dog/1", "dog/2"):
        ...     path = Path(f"pets/{name}.png")
        ...     path.parent.mkdir(parents=True, exist_ok=True)
        ...     Image.new("RGB", (48, 48), "navy").save(path)
        >>> recipe = ClassificationRecipe((Phase(2, 32),), batch_size=2)
        >>> quiet = Console(quiet=True)
        >>> history = train_classifier("pets", "pets_run", recipe=recipe, console=quiet)
        >>> len(history), ImageClassifier.from_preset("pets_run/best").class_names
        (2, ('cat', 'dog'))
    """
    return Trainer(
        classification_task(
            load_recipe(recipe, "classification"),
            on_problem,
            format,
            as_teacher(teacher),
            None if class_names is None else tuple(class_names),
        ),
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
