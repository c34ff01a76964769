"""`cspdarknet inspect`: feature maps and receptive fields of a model's levels on one image."""

import json as json_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from cspdarknet._files import write_text
from cspdarknet.cli.options import ModelArgument
from cspdarknet.cli.progress import interruptible
from cspdarknet.cli.results import ResultsFile, check_results_files, say
from cspdarknet.cli.tables import plain_table, print_table

if TYPE_CHECKING:
    from cspdarknet.analysis import Inspection


def inspect(
    model: ModelArgument,
    image: Annotated[Path, typer.Argument(metavar="IMAGE", help="An image file.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Picture of the image with the receptive fields, and of the feature maps: .jpg or "
            ".png."
        ),
    ] = None,
    levels: Annotated[
        str | None, typer.Option(help="Pyramid levels, such as P3,P5. Default: all.")
    ] = None,
    longer_side: Annotated[
        int | None,
        typer.Option(
            help="Shrink the image to this longer side; 0 keeps its size. Default: 640, or the "
            "center crop of a model with a fixed image size.",
            min=0,
        ),
    ] = None,
    fraction: Annotated[
        float,
        typer.Option(
            help="Fraction of the energy of the gradient within the effective field.", min=0, max=1
        ),
    ] = 0.9,
    json: Annotated[Path | None, typer.Option(help="File for the numbers, as JSON.")] = None,
) -> None:
    """Show the feature maps of an image, and the receptive field of each level.

    The theoretical field is all pixels that a position depends on; the effective one, measured on
    this image by the gradient of the center position, is where its energy is.
    """
    from cspdarknet.analysis.inspection import inspect_model
    from cspdarknet.visualize import check_picture_path, save_picture

    console = Console()
    if out is not None:
        check_picture_path(out)
    check_results_files(ResultsFile("--json", json, ('{\n  "fraction": ',)))
    if not image.is_file():
        raise ValueError(f"IMAGE must be an image file. Received: {image}")
    names = None if levels in (None, "all") else [n.strip() for n in str(levels).split(",")]
    with interruptible(console), console.status("computing"):
        inspection = inspect_model(model, image, names, longer_side=longer_side, fraction=fraction)
    print_table(console, _table(inspection))
    if any(item.whole for item in inspection.levels):
        say(console, "+: attention layers make each position depend on the whole image, too.")
    if out is not None:
        save_picture(inspection.picture(), out)
        say(console, f"Picture: {out}")
    if json is not None:
        write_text(json, json_module.dumps(inspection.to_json(), indent=2) + "\n")


def _table(inspection: "Inspection") -> Table:
    table = plain_table("level")
    fraction = f"{inspection.fraction:.0%}"
    for title in (
        "stride",
        "channels",
        "positions",
        "theoretical field",
        f"effective ({fraction})",
    ):
        table.add_column(title, justify="right", no_wrap=True)
    for item in inspection.levels:
        height, width, channels = item.features.shape
        table.add_row(
            item.level,
            str(item.stride),
            str(channels),
            f"{width} x {height}",
            f"{item.theoretical}{'+' * item.whole} px",
            f"{item.effective} px",
        )
    return table
