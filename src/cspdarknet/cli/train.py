"""`cspdarknet train`: a classifier from a folder of photos."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cspdarknet.cli.features import INTERRUPTED


def train(
    data: Annotated[
        Path, typer.Argument(help="A folder with a subfolder for each class, or a CSV file.")
    ],
    out: Annotated[Path, typer.Option(help="The run folder.")],
    preset: Annotated[
        str, typer.Option(help="What to start from: a name, a preset directory, kaggle://…, hf://…")
    ] = "csp_darknet_tiny_clothing",
    recipe: Annotated[
        str, typer.Option(help="finetune, scratch, imagenet, or a JSON file.")
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
    class_weights: Annotated[str | None, typer.Option(help="equal or balanced.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without improvement.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random.")] = None,
    validation_share: Annotated[
        float, typer.Option(help="Set aside of each class, where data has no validation part.")
    ] = 0.15,
    workers: Annotated[int, typer.Option(help="Threads that read photos.")] = 2,
    check: Annotated[bool, typer.Option(help="Decode every photo once before.")] = True,
    tensorboard: Annotated[bool, typer.Option(help="Write for TensorBoard too.")] = False,
    join: Annotated[
        str | None,
        typer.Option(help="Several machines (JAX): 'auto', or HOST:PORT,PROCESSES,INDEX."),
    ] = None,
) -> None:
    """Train an image classifier on photos.

    Run the same command again to go on after an interruption.
    """
    from cspdarknet.train import customize, load_recipe, train_classifier
    from cspdarknet.train.distributed import join_from_text

    if join is not None:
        join_from_text(join)
    changed = customize(
        load_recipe(recipe),
        epochs=epochs,
        image_size=image_size,
        batch_size=batch_size,
        learning_rate=learning_rate,
        precision=precision,
        accumulate=accumulate,
        class_weights=class_weights,
        patience=patience,
        seed=seed,
    )
    console = Console()
    try:
        history = train_classifier(
            data,
            out,
            preset,
            changed,
            load_weights=False if from_scratch else None,
            validation_share=validation_share,
            check=check,
            workers=workers,
            tensorboard=tensorboard,
            console=console,
        )
    except KeyboardInterrupt:
        console.print("Interrupted. Run the same command again to go on.")
        raise typer.Exit(INTERRUPTED) from None
    best = max(history, key=lambda row: (row["best"], row["epoch"]))
    console.print(
        f"Best: epoch {best['epoch']}, validation accuracy {best['val_accuracy']:.4f}. "
        f"Model: {out / 'best'}  report: {out / 'report.html'}",
        soft_wrap=True,
        highlight=False,
        markup=False,
    )
