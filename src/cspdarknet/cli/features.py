"""`cspdarknet features`: feature maps of photos, as files and pictures."""

from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

from cspdarknet.cli.options import PrecisionOption, RuntimeOption
from cspdarknet.inference.model_source import default_runtime
from cspdarknet.model_info import is_exported_file

INTERRUPTED = 130  # the exit status of a program that Ctrl-C ended


def features(
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders of photos.")],
    out: Annotated[Path, typer.Option(help="Folder for the results.")],
    preset: Annotated[
        str,
        typer.Option(
            help="A built-in name, a preset directory, kaggle://…, hf://…, or an exported file."
        ),
    ] = "csp_darknet_tiny_imagenet",
    weights: Annotated[
        Path | None, typer.Option(help="A weight file for the preset's architecture.")
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option(
            help="Levels, such as P3,P5; or all. P3,P4,P5 if not given; those of an exported file."
        ),
    ] = None,
    file_format: Annotated[str, typer.Option("--format", help="npz or safetensors.")] = "npz",
    size: Annotated[
        int | None,
        typer.Option(
            help="Shrink photos to this longer side; 0 keeps their size. 640 if not given, unless "
            "the model is for images of one size."
        ),
    ] = None,
    picture: Annotated[
        bool, typer.Option(help="Also draw each photo beside its feature maps.")
    ] = False,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
) -> None:
    """Write the feature maps of photos, one file for each.

    A file holds an array (height, width, channels) for each level, and "vector", the mean of the
    deepest one. Run the same command again to go on after an interruption.
    """
    from cspdarknet.images import find_images
    from cspdarknet.inference.features import FeatureExtractor

    console = Console()
    found = find_images(photos, out)
    model = _model(preset, weights, levels, console)
    extractor = FeatureExtractor(
        model,
        out,
        file_format,
        size,
        picture,
        runtime or default_runtime(model),
        precision,
    )
    states: Counter[str] = Counter()
    failures = []
    with _progress(console) as progress:
        task = progress.add_task("features", total=len(found))
        try:
            for result in extractor.run(found):
                states[result.state] += 1
                failures += [result.message] * (result.state == "failed")
                progress.advance(task)
        except KeyboardInterrupt:
            progress.stop()
            console.print("Interrupted. Run the same command again to go on.")
            raise typer.Exit(INTERRUPTED) from None
    kept = f", {states['kept']} kept from an earlier run" if states["kept"] else ""
    summary = f"{states['done']} of {len(found)} photos written to {out}{kept}."
    console.print(summary, soft_wrap=True, highlight=False, markup=False)
    if failures:
        console.print(f"[bold red]{len(failures)} could not be read:[/]")
        for message in failures:
            console.print(f"  {message}", soft_wrap=True, highlight=False, markup=False)
        raise typer.Exit(1)


def _model(preset: str, weights: Path | None, levels: str | None, console: Console) -> Any:
    """Return a pyramid, or the file that holds one."""
    if is_exported_file(preset):
        if weights is not None or levels is not None:
            raise ValueError(f"{preset} has weights and levels of its own: leave the options out.")
        return Path(preset)
    backbone = _backbone(preset, weights, console)
    chosen = (levels or "P3,P4,P5").split(",")
    names = list(backbone.pyramid_level_inputs) if levels == "all" else chosen
    return backbone.feature_pyramid([name.strip() for name in names])


def _backbone(preset: str, weights: Path | None, console: Console):  # type: ignore[no-untyped-def]
    import keras

    from cspdarknet.checkpoints import load_weights
    from cspdarknet.models import CSPDarkNetBackbone
    from cspdarknet.presets.records import PRESETS

    if weights is not None:
        backbone = CSPDarkNetBackbone.from_preset(preset, load_weights=False)
        load_weights(backbone, weights)
        return backbone
    if preset in PRESETS and not PRESETS[preset].has_weights:
        keras.utils.set_random_seed(0)  # so that a repeated run goes on with the same features
        console.print(f"[yellow]{preset} has random weights: so do its features.[/]")
    return CSPDarkNetBackbone.from_preset(preset)


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("photos"),
        TimeRemainingColumn(),
        console=console,
    )
