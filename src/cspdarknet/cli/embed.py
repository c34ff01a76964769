"""`cspdarknet embed`: one vector for each image, in a file."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cspdarknet.cli.options import (
    BatchSizeOption,
    DeviceOption,
    ImageSizeOption,
    PrecisionOption,
    RuntimeOption,
    level_names,
)
from cspdarknet.cli.progress import count_states, report_failures
from cspdarknet.cli.results import say

ModelOption = Annotated[
    str,
    typer.Option(
        "--model",
        metavar="MODEL",
        help="A preset name or folder, a run folder, a weight file, kaggle://… or hf://…, of any "
        "task; or an exported backbone.",
    ),
]
LevelsOption = Annotated[
    str | None,
    typer.Option(
        help="Pyramid levels whose means are joined, such as P3,P5. Default: the deepest one, or "
        "those of an exported file."
    ),
]
LongerSideOption = Annotated[
    int | None,
    typer.Option(
        help="Take whole images, shrunk to this longer side, in place of center crops; 0 keeps "
        "their size."
    ),
]


def embed(
    source: Annotated[
        Path, typer.Argument(metavar="SOURCE", help="A folder of images, or an image file.")
    ],
    model: ModelOption,
    out: Annotated[
        Path,
        typer.Option(help="File for the vectors and keys: .npz, .safetensors or .parquet."),
    ],
    levels: LevelsOption = None,
    normalize: Annotated[
        bool, typer.Option("--normalize", help="Divide each vector by its length (L2).")
    ] = False,
    image_size: ImageSizeOption = None,
    longer_side: LongerSideOption = None,
    batch_size: BatchSizeOption = 8,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
    device: DeviceOption = "auto",
) -> None:
    """Embed images: one vector for each, the spatial mean of its feature map.

    Run the same command again to continue after an interruption, or to add new images.
    """
    from cspdarknet.analysis.embedder import Embedder
    from cspdarknet.analysis.embedding_files import check_suffix
    from cspdarknet.analysis.embedding_run import EmbeddingRun, list_images

    console = Console()
    check_suffix(out)
    files, folder = list_images(source)
    with console.status("loading the model"):
        embedder = Embedder(
            model,
            level_names(levels, None),
            normalize=normalize,
            image_size=image_size,
            longer_side=longer_side,
            batch_size=batch_size,
            runtime=runtime,
            precision=precision,
            device=device,
        )
    run = EmbeddingRun(embedder, out, folder)
    states, failures = count_states(console, "embedding", run.run(files), len(files))
    kept = f", {states['kept']:,} of them kept from an earlier run" if states["kept"] else ""
    total = states["done"] + states["kept"]
    say(console, f"Vectors of {total:,} of {len(files):,} images written to {out}{kept}.")
    report_failures(console, failures)
