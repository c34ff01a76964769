"""`cspdarknet export`: a model as a file for other software."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table


def export(
    model: Annotated[str, typer.Argument(help="A preset name or directory, or a run folder.")],
    out: Annotated[
        Path,
        typer.Argument(help="File: .onnx, .xml (OpenVINO), .tflite, .pt2; or a folder."),
    ],
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="onnx, openvino, litert, torch or saved_model; what the suffix says if not given.",
        ),
    ] = None,
    precision: Annotated[str, typer.Option(help="float32, float16 or int8.")] = "float32",
    calibration: Annotated[
        Path | None, typer.Option(help="For int8: a folder of photos like those to come.")
    ] = None,
    inputs: Annotated[
        str, typer.Option(help="uint8 takes photos as decoders give them; or float32.")
    ] = "uint8",
    levels: Annotated[
        str | None, typer.Option(help="Of a backbone: levels, such as P3,P5; or all.")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option(help="Side of the images; open if not given.", min=1)
    ] = None,
    letterbox: Annotated[
        bool, typer.Option(help="Of a detector: take photos of any size.")
    ] = False,
    raw: Annotated[
        bool, typer.Option(help="Of a detector: what the head says, in place of objects.")
    ] = False,
    score: Annotated[
        float | None, typer.Option(help="Of a detector: least score.", min=0, max=1)
    ] = None,
    iou: Annotated[
        float | None, typer.Option(help="Of a detector: overlap of one object.", min=0, max=1)
    ] = None,
    most: Annotated[
        int | None, typer.Option("--max", help="Of a detector: most objects.", min=1)
    ] = None,
) -> None:
    """Write a model as a file for other software, and check that it computes the same."""
    from cspdarknet.export import export as export_model
    from cspdarknet.inference.keras_runtime import of_levels
    from cspdarknet.models import load_model

    console = Console()
    with console.status("loading the model"):
        network = load_model(model)
        if levels is not None:
            every = list(getattr(network, "pyramid_level_inputs", ()))
            named = [name.strip() for name in levels.split(",")]
            network = of_levels(network, every if levels == "all" else named)
    how: dict[str, Any] = {
        "inputs": inputs,
        "image_size": image_size,
        "letterbox": letterbox,
        "outputs": "raw" if raw else "objects",
        "score_threshold": score,
        "iou_threshold": iou,
        "max_detections": most,
    }
    with console.status(f"writing {out}"):
        exported = export_model(
            network, out, file_format, precision=precision, calibration=calibration, **how
        )
    table = Table("file", "format", "precision", "size", "off by")
    table.add_row(
        str(exported.path),
        exported.format,
        precision,
        f"{exported.bytes / 1e6:.1f} MB",
        str(exported.difference),
    )
    console.print(table)
