"""`cspdarknet features`: feature maps of images, as files and pictures."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from cspdarknet.cli.choices import FEATURE_FORMATS, choice
from cspdarknet.cli.engine import RAY, EngineOption, run_on_engine
from cspdarknet.cli.options import (
    DeviceOption,
    ImagesArgument,
    ModelArgument,
    PrecisionOption,
    RuntimeOption,
    level_names,
)
from cspdarknet.cli.progress import count_states, report_failures
from cspdarknet.images import find_images
from cspdarknet.model_info import is_exported_file


def features(
    model: ModelArgument,
    images: ImagesArgument,
    out: Annotated[str, typer.Option(help="Folder for the results, one file per image.")],
    weights: Annotated[
        Path | None, typer.Option(help="A weight file for the architecture of MODEL.")
    ] = None,
    levels: Annotated[
        str | None,
        typer.Option(
            help="Pyramid levels, such as P3,P5; or all. Default: P3,P4,P5, or those of an "
            "exported file."
        ),
    ] = None,
    file_format: Annotated[
        str, choice(FEATURE_FORMATS, "--format", help="Format of the files.")
    ] = "npz",
    longer_side: Annotated[
        int | None,
        typer.Option(
            help="Shrink images to this longer side; 0 keeps their size. Default: 640, or the "
            "center crop of a model with a fixed image size."
        ),
    ] = None,
    picture: Annotated[
        bool, typer.Option(help="Also write a picture of each image beside its feature maps.")
    ] = False,
    runtime: RuntimeOption = None,
    precision: PrecisionOption = "float32",
    device: DeviceOption = "auto",
    engine: EngineOption = "local",
) -> None:
    """Write the feature maps of images, one file per image.

    A file holds an array (height, width, channels) for each level, and "vector", the spatial mean
    of the deepest level. Run the same command again to continue after an interruption.
    """
    from cspdarknet.inference.features import SETTINGS_FILE, FeatureExtractor

    if engine == RAY:
        unfit = {"--weights": weights, "--format": file_format != "npz", "--picture": picture}
        run_on_engine(
            "features",
            model,
            images,
            out,
            unfit,
            levels=_levels_by_name(model, levels),
            longer_side=longer_side,
            runtime=runtime,
            precision=precision,
            device=device,
        )
        return
    console, folder = Console(), Path(out)
    files = find_images(images, folder, SETTINGS_FILE)
    source, names = _source(model, weights, levels, console)
    extractor = FeatureExtractor(
        source,
        folder,
        levels=names,
        file_format=file_format,
        longer_side=longer_side,
        picture=picture,
        runtime=runtime,
        precision=precision,
        device=device,
    )
    states, failures = count_states(console, "features", extractor.run(files), len(files))
    kept = f", {states['kept']} kept from an earlier run" if states["kept"] else ""
    summary = f"Features of {states['done']} of {len(files)} images written to {folder}{kept}."
    console.print(summary, soft_wrap=True, highlight=False, markup=False)
    report_failures(console, failures)


def _levels_by_name(model: str, levels: str | None) -> list[str] | None:
    """Return the levels of an option, which are those of the backbone for `all`."""
    if levels != "all":
        return level_names(levels, None)
    from cspdarknet.models import load_model

    return level_names(levels, load_model(model, "features"))


def _source(
    model: str, weights: Path | None, levels: str | None, console: Console
) -> tuple[Any, list[str] | None]:
    """Return a backbone, or the path of an exported file, and the levels to extract."""
    if is_exported_file(model):
        if weights is not None or levels is not None:
            raise ValueError(
                f"`--weights` and `--levels` do not apply to an exported file. Received: {model}: "
                "leave the options out."
            )
        return Path(model), None
    backbone = _backbone(model, weights, console)
    return backbone, level_names(levels, backbone)


def _backbone(model: str, weights: Path | None, console: Console) -> Any:
    import keras

    from cspdarknet.checkpoints import load_weights
    from cspdarknet.models import load_model
    from cspdarknet.presets.records import PRESETS

    if weights is not None:
        backbone = load_model(model, "features", load_weights=False)
        load_weights(backbone, weights)
        return backbone
    if model in PRESETS and not PRESETS[model].has_weights:
        keras.utils.set_random_seed(0)  # a repeated run must see the same weights
        console.print(f"[yellow]{model} has random weights, and so have its features.[/]")
    return load_model(model, "features")
