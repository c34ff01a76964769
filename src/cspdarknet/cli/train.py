"""`cspdarknet train`: a classifier of photos, or a detector from photos with boxes."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cspdarknet.cli.features import INTERRUPTED

# What each task starts from, if nothing is named, and the figure that its best epoch is shown by.
PRESETS = {"classify": "csp_darknet_tiny_clothing", "detect": "yolox_nano_bccd"}
SCORES = {"classify": ("accuracy", "val_accuracy"), "detect": ("mAP", "val_map")}


def train(
    data: Annotated[
        Path,
        typer.Argument(
            help="A folder with a subfolder for each class, or a CSV file; to detect: photos with "
            "boxes as Pascal VOC, COCO or YOLO have them."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The run folder.")],
    task: Annotated[str, typer.Option(help="classify or detect.")] = "classify",
    preset: Annotated[
        str | None,
        typer.Option(
            help="What to start from: a name, a preset directory, kaggle://…, hf://…; a boxed one "
            "if not given."
        ),
    ] = None,
    recipe: Annotated[
        str, typer.Option(help="finetune, scratch, imagenet (coco to detect), or a JSON file.")
    ] = "finetune",
    from_scratch: Annotated[
        bool, typer.Option(help="Random weights, though the preset has trained ones.")
    ] = False,
    epochs: Annotated[int | None, typer.Option(help="Epochs of all stages together.")] = None,
    image_size: Annotated[int | None, typer.Option(help="Side of the images, in pixels.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Photos in a batch.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    precision: Annotated[
        str | None, typer.Option(help="float32, mixed_bfloat16 or mixed_float16.")
    ] = None,
    accumulate: Annotated[
        int | None, typer.Option(help="Batches for one step of the optimizer.")
    ] = None,
    class_weights: Annotated[
        str | None, typer.Option(help="equal or balanced (to classify).")
    ] = None,
    flip_vertical: Annotated[
        float | None,
        typer.Option(help="Probability of upside-down photos, where no way is up (to detect)."),
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without improvement.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random.")] = None,
    validation_split: Annotated[
        float, typer.Option(help="Set aside of each class, where data has no validation part.")
    ] = 0.15,
    workers: Annotated[int, typer.Option(help="Threads that read photos.")] = 2,
    on_problem: Annotated[
        str, typer.Option(help="stop at impossible boxes, or fix them (to detect).")
    ] = "stop",
    check: Annotated[bool, typer.Option(help="Decode every photo once before.")] = True,
    tensorboard: Annotated[bool, typer.Option(help="Write for TensorBoard too.")] = False,
    join: Annotated[
        str | None,
        typer.Option(help="Several machines (JAX): 'auto', or HOST:PORT,PROCESSES,INDEX."),
    ] = None,
) -> None:
    """Train an image classifier, or a detector of objects, on photos.

    Run the same command again to go on after an interruption.
    """
    from cspdarknet.train import customize
    from cspdarknet.train.distributed import join_from_text

    if task not in PRESETS:
        raise ValueError(f"`--task` must be {' or '.join(PRESETS)}. Received: {task!r}")
    if join is not None:
        join_from_text(join)
    changes = {
        "epochs": epochs,
        "image_size": image_size,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "precision": precision,
        "accumulate": accumulate,
        "patience": patience,
        "seed": seed,
        **_of_one_task(task, "classify", class_weights=class_weights),
        **_of_one_task(task, "detect", flip_vertical=flip_vertical),
    }
    console = Console()
    start, load, own = _task(task, on_problem)
    try:
        history = start(
            data,
            out,
            preset or PRESETS[task],
            customize(load(recipe), **changes),
            load_weights=False if from_scratch else None,
            validation_split=validation_split,
            check=check,
            workers=workers,
            tensorboard=tensorboard,
            console=console,
            **own,
        )
    except KeyboardInterrupt:
        console.print("Interrupted. Run the same command again to go on.")
        raise typer.Exit(INTERRUPTED) from None
    best = max(history, key=lambda row: (row["best"], row["epoch"]))
    name, score = SCORES[task]
    console.print(
        f"Best: epoch {best['epoch']}, validation {name} {best[score]:.4f}. "
        f"Model: {out / 'best'}  report: {out / 'report.html'}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )


def _task(task: str, on_problem: str) -> tuple[Any, Any, dict[str, Any]]:
    """Return what trains, what loads its recipes, and the arguments that only it has."""
    from cspdarknet import train

    if task == "detect":
        return train.train_detector, train.load_detection_recipe, {"on_problem": on_problem}
    return train.train_classifier, train.load_recipe, {}


def _of_one_task(task: str, owner: str, **options: Any) -> dict[str, Any]:
    """Return options of a task, which must not be given for another."""
    given = {name: value for name, value in options.items() if value is not None}
    if given and task != owner:
        name = next(iter(given)).replace("_", "-")
        raise ValueError(f"`--{name}` is for --task {owner}. Received: --task {task}")
    return given
