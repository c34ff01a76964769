"""`cspdarknet push`: upload of a model to Hugging Face or Kaggle."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def push(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN",
            help="The run folder of a training, of which the best model is uploaded; or a preset "
            "folder, of which all files are.",
        ),
    ],
    address: Annotated[
        str,
        typer.Argument(
            metavar="ADDRESS",
            help="hf://owner/repository or kaggle://owner/model/framework/variation.",
        ),
    ],
    license: Annotated[
        str | None,
        typer.Option(
            help="License of the weights, such as apache-2.0. Default: the one that is stored "
            "with them."
        ),
    ] = None,
    private: Annotated[
        bool,
        typer.Option(
            "--private",
            help="Create a private repository at Hugging Face. Models at Kaggle are private until "
            "they are published there.",
        ),
    ] = False,
    example: Annotated[
        list[Path] | None,
        typer.Option(
            help="An image for the page of the model, uploaded without the metadata of the photo; "
            "may be repeated. Images of the dataset are not uploaded by themselves."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the model card and the files; upload nothing.")
    ] = False,
) -> None:
    """Upload a model with a model card: metrics, curves, dataset, license, examples.

    Log in before, with `hf auth login` or `kagglehub.login()`.
    """
    from cspdarknet.presets.upload import prepared_upload, upload_preset

    examples = example or []
    if dry_run:
        with prepared_upload(address, run, license=license, examples=examples) as upload:
            print(upload.card)
            for name, size in upload.files.items():
                print(f"{size:>12,}  {name}")
        return
    with Console(stderr=True).status(f"uploading to {address}"):
        uploaded = upload_preset(address, run, license=license, private=private, examples=examples)
    print(uploaded)
