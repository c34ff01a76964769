"""`cspdarknet train`: training of classifiers, regressors and detectors."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cspdarknet._keras import prefer_backend, training_backend
from cspdarknet.cli.choices import (
    CLASS_WEIGHTS,
    LABELS,
    RECIPES,
    REGRESSION_LOSSES,
    TASKS,
    TRAINING_PRECISIONS,
    choice,
    completion,
)
from cspdarknet.cli.options import (
    FormatOption,
    OnProblemOption,
    OverlapOption,
    TileOption,
    WithWholeOption,
    WorkersOption,
    given_tiles,
    image_size_option,
)
from cspdarknet.cli.progress import interruptible
from cspdarknet.cli.train_options import (
    AUTO,
    STARTS,
    backend_of,
    given_batch_size,
    given_teacher,
    options_of_task,
    print_best,
    training_function,
)


def train(
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A folder or file of images with classes, boxes or numbers, in any format that "
            "`cspdarknet data check` recognizes.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The run folder.")],
    task: Annotated[
        str | None,
        choice(TASKS, help="What the model is for. Default: what the data are for."),
    ] = None,
    format: FormatOption = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The model to start from: a preset name or folder, a run folder, a weight file, "
            "kaggle://… or hf://…. Default: a bundled preset of the task."
        ),
    ] = None,
    recipe: Annotated[
        str,
        typer.Option(
            metavar=f"[{'|'.join(RECIPES)}|FILE]",
            autocompletion=completion(RECIPES),
            help="Recipe of the training, or a JSON file with one; imagenet is for "
            "classification, coco for detection.",
        ),
    ] = "finetune",
    from_scratch: Annotated[
        bool, typer.Option(help="Start from random weights, even if the preset has trained ones.")
    ] = False,
    epochs: Annotated[
        int | None, typer.Option(help="Number of epochs of all phases together.")
    ] = None,
    image_size: Annotated[
        Any,
        image_size_option(
            "Side of the images of the last phase in pixels, or height and width, such as 384x640."
        ),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(
            help="Number of channels of the images, such as 1 for gray or 4 for multispectral "
            "ones. Default: that of the model to start from.",
            min=1,
        ),
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option(
            help="Detection: pyramid levels of the model, such as P2,P3,P4,P5 for small objects. "
            "Default: those of the model to start from."
        ),
    ] = None,
    tile: TileOption = None,
    overlap: OverlapOption = None,
    with_whole: WithWholeOption = False,
    batch_size: Annotated[
        str | None,
        typer.Option(
            metavar="[N|auto]",
            help="Number of images in a batch; or 'auto' for the largest that fits into memory, "
            "with gradients accumulated to the recipe's batch.",
        ),
    ] = None,
    image_cache: Annotated[
        str | None,
        typer.Option(
            metavar="[disk|FOLDER]",
            help="Keep decoded images on disk, so that later epochs and trainings decode nothing: "
            "in a folder, or 'disk' for one in the user's cache folder. `cspdarknet data "
            "clear-cache` removes them.",
        ),
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    precision: Annotated[
        str | None,
        choice(TRAINING_PRECISIONS, help="Precision of the computation. Default: the recipe's."),
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(help="Number of batches per optimizer step.")
    ] = None,
    class_weights: Annotated[
        str | None,
        choice(
            CLASS_WEIGHTS,
            help="Classification: weights of the classes in the loss. Default: the recipe's.",
        ),
    ] = None,
    focal_gamma: Annotated[
        float | None,
        typer.Option(
            help="Classification: exponent of the focal loss, such as 2; 0 for the cross-entropy. "
            "Default: the recipe's."
        ),
    ] = None,
    label_smoothing: Annotated[
        float | None,
        typer.Option(
            help="Classification: fraction of the label that is spread over all classes. Default: "
            "the recipe's."
        ),
    ] = None,
    labels: Annotated[
        str | None,
        choice(
            LABELS,
            help="Classification: single for one class per image, multi for any number, ordinal "
            "for classes in order. Default: the recipe's.",
        ),
    ] = None,
    class_names: Annotated[
        str | None,
        typer.Option(
            help="Classification: all classes in the order of their ids, such as low,mid,high: "
            "ordinal ones from low to high, if they are not numbers."
        ),
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option(
            help="Regression: columns of the numbers to predict, such as age,weight. Default: all "
            "columns of numbers."
        ),
    ] = None,
    loss: Annotated[
        str | None,
        choice(
            REGRESSION_LOSSES,
            help="Regression: loss of the errors, in standard deviations of each target. Default: "
            "the recipe's.",
        ),
    ] = None,
    flip_vertical: Annotated[
        float | None,
        typer.Option(help="Detection: probability of a vertical flip."),
    ] = None,
    shift: Annotated[
        float | None,
        typer.Option(
            help="Detection: probability that an image that is not part of a mosaic is moved to a "
            "random place."
        ),
    ] = None,
    copy_paste: Annotated[
        float | None,
        typer.Option(help="Detection: probability that objects of another image are pasted."),
    ] = None,
    repeat_threshold: Annotated[
        float | None,
        typer.Option(
            help="Repeat images of rare classes: those that less than this fraction of the images "
            "has."
        ),
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Distillation: a larger model of the same classes, whose outputs are learned, "
            "too: a preset name or folder, a run folder or a weight file."
        ),
    ] = None,
    teacher_weight: Annotated[
        float | None, typer.Option(help="Factor of the loss of --teacher. Default: 1.")
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(
            help="Classification: temperature of the probabilities of --teacher. Default: 4."
        ),
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after this number of epochs without improvement.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed of weights, data order and augmentation.")
    ] = None,
    validation_split: Annotated[
        float,
        typer.Option(
            help="Fraction of the images to validate on, if the dataset has no validation split."
        ),
    ] = 0.15,
    workers: WorkersOption = 2,
    on_problem: OnProblemOption = "raise",
    check: Annotated[
        bool, typer.Option(help="Decode every image once before training, and skip damaged ones.")
    ] = True,
    log: Annotated[
        list[str] | None,
        typer.Option(
            metavar="TRACKER[:PROJECT]",
            help="Log to a tracker of experiments: tensorboard, wandb or mlflow; may be repeated.",
        ),
    ] = None,
    devices: Annotated[
        str | None,
        typer.Option(
            metavar="[N|auto]",
            help="Number of devices of this machine, or 'auto' for all. Default: all on JAX, one "
            "on PyTorch. Several machines: torchrun on PyTorch, --join on JAX.",
        ),
    ] = None,
    join: Annotated[
        str | None,
        typer.Option(help="Several machines (JAX): 'auto', or HOST:PORT,PROCESSES,INDEX."),
    ] = None,
) -> None:
    """Train an image classifier, an image regressor or an object detector.

    Run the same command again to continue after an interruption.
    """
    prefer_backend(backend_of(out) or ("jax" if join else training_backend()))
    tiles = given_tiles(tile, overlap, with_whole)
    from cspdarknet import train as training
    from cspdarknet.data import recognized_task
    from cspdarknet.train import distributed

    if devices is not None and join is not None:
        raise ValueError("Give either `--devices` or `--join`, which takes all devices.")
    if devices is not None and distributed.run_on_devices(devices):
        return
    if task is None:
        task = recognized_task(data, format) if labels is None else "classification"
    options_of_task(task, "detection", tile=tile, levels=levels)
    if join is not None:
        distributed.join_from_text(join)
    changes = {
        "epochs": epochs,
        **{"image_size": image_size, "channels": channels},
        "batch_size": given_batch_size(batch_size),
        "learning_rate": learning_rate,
        "precision": precision,
        "accumulate": accumulate,
        **{"patience": patience, "seed": seed, "repeat_threshold": repeat_threshold},
        **options_of_task(
            task, "classification", class_weights=class_weights, focal_gamma=focal_gamma
        ),
        **options_of_task(task, "classification", label_smoothing=label_smoothing, labels=labels),
        **options_of_task(task, "regression", loss=loss),
        **options_of_task(task, "detection", flip_vertical=flip_vertical, shift=shift),
        **options_of_task(task, "detection", copy_paste=copy_paste),
        "levels": None if levels is None else tuple(map(str.strip, levels.split(","))),
        **tiles,
    }
    options_of_task(task, "classification", temperature=temperature)
    distillation = given_teacher(teacher, teacher_weight, temperature)
    start = training_function(task, class_names, targets, distillation)
    settings: Any = training.customize(training.load_recipe(recipe, task), **changes)
    with distributed.joined():
        console = Console(quiet=not distributed.is_first_process())
        with interruptible(console, "Run the same command again to continue."):
            history = start(
                data,
                out,
                model or STARTS[task].preset,
                settings,
                load_weights=False if from_scratch else None,
                validation_split=validation_split,
                on_problem=on_problem,
                format=format,
                check=check,
                workers=workers,
                log=log or (),
                auto_batch_size=batch_size == AUTO,
                image_cache=image_cache,
                console=console,
            )
    print_best(history, out, task, getattr(settings, "labels", ""), console)
