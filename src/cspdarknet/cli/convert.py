"""`cspdarknet convert` and `cspdarknet verify`: conversion of weights, and its verification."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cspdarknet.cli.choices import ACTIVATIONS, INPUT_CONVENTIONS, MODEL_TASKS, choice
from cspdarknet.cli.options import ClassNamesOption, ModelArgument
from cspdarknet.cli.tables import plain_table, print_table


def convert(
    model: ModelArgument,
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="Output: a preset folder, or a .safetensors, .keras, .weights.h5 or .pth file.",
        ),
    ],
    task: Annotated[
        str | None,
        choice(
            MODEL_TASKS,
            help="features converts the backbone alone. Default: the whole model, with its head.",
        ),
    ] = None,
    class_names: ClassNamesOption = None,
    input_convention: Annotated[
        str | None,
        choice(
            INPUT_CONVENTIONS,
            help="Images that a weight file of YOLOX was trained on: values of 0..255 as bgr "
            "(YOLOX's own) or rgb, or normalized RGB images, as in YOLOX 0.0.1 and "
            "re-implementations. Default: bgr.",
        ),
    ] = None,
    activation: Annotated[
        str | None,
        choice(ACTIVATIONS, help="Activation of a .pth file of YOLOX. Default: silu."),
    ] = None,
) -> None:
    """Convert the weights of a model to another format.

    A preset folder also records the origin, license and SHA-256 of the source, and reference
    outputs for `cspdarknet verify`. `cspdarknet info MODEL` shows what a file is.
    """
    from cspdarknet import conversion

    console = Console()
    with console.status("converting"):
        names = None if class_names is None else [name.strip() for name in class_names.split(",")]
        converted = conversion.convert(
            model, out, task, names, input_convention=input_convention, activation=activation
        )
    summary = f"{model} -> {out}: {converted.count_params():,} parameters"
    console.print(summary, markup=False, soft_wrap=True, highlight=False)


def verify(
    model: ModelArgument,
    golden: Annotated[
        Path | None,
        typer.Option(
            help="An .npz file with an input `x` and reference outputs P2, P3, …, logits or probs."
        ),
    ] = None,
) -> None:
    """Compare the outputs of a model with stored reference outputs."""
    from cspdarknet import conversion

    console = Console()
    with console.status("comparing"):
        checks = conversion.verify(model, golden)
    table = plain_table("output", "maximum relative error", "tolerance", "")
    for check in checks:
        verdict = "[green]equal[/]" if check.passed else "[bold red]DIFFERENT[/]"
        table.add_row(check.name, f"{check.error:.1e}", f"{check.tolerance:.0e}", verdict)
    print_table(console, table)
    if not all(check.passed for check in checks):
        raise typer.Exit(1)
