"""`cspdarknet convert` and `verify`: weights from one format to another, and the proof."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table


def convert(
    source: Annotated[str, typer.Argument(help="A weight file, preset directory or preset name.")],
    destination: Annotated[
        Path,
        typer.Argument(help="A preset directory, or .safetensors, .keras, .weights.h5, .pth."),
    ],
    detector: Annotated[
        bool, typer.Option(help="Of YOLOX's files the whole detector, not the backbone alone.")
    ] = False,
) -> None:
    """Convert weights to another format.

    A preset directory also gets origin, license and SHA-256 of the source, and figures to verify.
    """
    from cspdarknet import checkpoints
    from cspdarknet.conversion import convert as conversion

    console = Console()
    with console.status("converting"):
        model = checkpoints.load(source, detector=detector or None)
        checkpoints.save(model, destination, conversion.describe(source))
    summary = f"{source} -> {destination}: {model.count_params():,} parameters"
    console.print(summary, markup=False, soft_wrap=True, highlight=False)


def verify(
    preset: Annotated[str, typer.Argument(help="A preset name, directory or weight file.")],
    golden: Annotated[
        Path | None, typer.Option(help="An .npz file with x and P2, P3, ..., logits or probs.")
    ] = None,
) -> None:
    """Run a model and compare its outputs with stored figures."""
    from cspdarknet import checkpoints
    from cspdarknet.conversion.verify import verify as compare

    console = Console()
    with console.status("comparing"):
        checks = compare(checkpoints.load(preset), preset, golden)
    table = Table("output", "error", "allowed", "")
    for check in checks:
        verdict = "[green]equal[/]" if check.passed else "[bold red]DIFFERENT[/]"
        table.add_row(check.name, f"{check.error:.1e}", f"{check.tolerance:.0e}", verdict)
    console.print(table)
    if not all(check.passed for check in checks):
        raise typer.Exit(1)
