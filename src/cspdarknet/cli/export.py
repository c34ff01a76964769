"""`cspdarknet export`: export of a model to a file for other software."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from cspdarknet.cli.choices import EXPORT_FORMATS, EXPORT_INPUTS, EXPORT_PRECISIONS, choice
from cspdarknet.cli.options import (
    ClassAgnosticNMSOption,
    ClassesOption,
    ImageSizeOption,
    IoUThresholdOption,
    MaxDetectionsOption,
    MaxDetectionsPerClassOption,
    ModelArgument,
    ScoreThresholdOption,
    detection_options,
    level_names,
)
from cspdarknet.cli.tables import plain_table, print_table


def export(
    model: ModelArgument,
    out: Annotated[
        Path,
        typer.Argument(
            metavar="OUT",
            help="File to write: .onnx, .xml (OpenVINO), .tflite, .pt2; or a folder (SavedModel).",
        ),
    ],
    file_format: Annotated[
        str | None,
        choice(
            EXPORT_FORMATS, "--format", help="Format of the file. Default: by the suffix of OUT."
        ),
    ] = None,
    precision: Annotated[
        str, choice(EXPORT_PRECISIONS, help="Precision of the weights.")
    ] = "float32",
    calibration: Annotated[
        Path | None,
        typer.Option(help="int8: a folder of images like those that the model will see."),
    ] = None,
    inputs: Annotated[
        str,
        choice(EXPORT_INPUTS, help="dtype of the images; decoders of images give uint8."),
    ] = "uint8",
    levels: Annotated[
        str | None,
        typer.Option(help="Export pyramid levels of the backbone, such as P3,P5; or all."),
    ] = None,
    image_size: ImageSizeOption = None,
    letterbox: Annotated[
        bool,
        typer.Option(help="Detectors: take images of any size and letterbox them in the graph."),
    ] = False,
    raw: Annotated[
        bool,
        typer.Option(help="Detectors: export raw head outputs, without box decoding and NMS."),
    ] = False,
    score_threshold: ScoreThresholdOption = None,
    iou_threshold: IoUThresholdOption = None,
    max_detections: MaxDetectionsOption = None,
    classes: ClassesOption = None,
    class_agnostic_nms: ClassAgnosticNMSOption = None,
    max_detections_per_class: MaxDetectionsPerClassOption = None,
) -> None:
    """Export a model to a file for other software.

    The outputs of the file are compared with those of the model.
    """
    from cspdarknet.export import export as export_model
    from cspdarknet.models import load_model

    console = Console()
    with console.status("loading the model"):
        network: Any = load_model(model, None if levels is None else "features")
        if names := level_names(levels, network):
            network = network.feature_pyramid(names)
    with console.status(f"writing {out}"):
        exported = export_model(
            network,
            out,
            file_format,
            precision=precision,
            calibration=calibration,
            inputs=inputs,
            image_size=image_size,
            letterbox=letterbox,
            raw_outputs=raw,
            options=detection_options(
                score_threshold,
                iou_threshold,
                max_detections,
                classes,
                class_agnostic_nms,
                max_detections_per_class,
            ),
        )
    table = plain_table()
    table.add_column("file", overflow="fold")
    for title in ("format", "precision", "size", "maximum relative error"):
        table.add_column(title, no_wrap=True)
    table.add_row(
        escape(str(exported.path)),
        exported.format,
        precision,
        f"{exported.num_bytes / 1e6:.1f} MB",
        str(exported.comparison),
    )
    print_table(console, table)
