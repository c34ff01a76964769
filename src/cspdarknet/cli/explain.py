"""`cspdarknet explain`: heat maps of where a model finds a class, or what raises a number."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cspdarknet._files import OutputFolder
from cspdarknet.cli.choices import EXPLAIN_METHODS, choice
from cspdarknet.cli.options import (
    BatchSizeOption,
    DeviceOption,
    ImagesArgument,
    ImageSizeOption,
    ModelArgument,
    RuntimeOption,
    ScoreThresholdOption,
    detection_options,
)
from cspdarknet.cli.progress import interruptible, progress_bar, report_failures
from cspdarknet.cli.results import say
from cspdarknet.cli.tables import plain_table, print_table
from cspdarknet.images import ImageError, ImageFile, find_images
from cspdarknet.visualize import save_picture

if TYPE_CHECKING:
    from cspdarknet.analysis import Explainer, Explanation

RESULTS = "explanations.json"  # marks a folder of results


def explain(
    model: ModelArgument,
    images: ImagesArgument,
    out: Annotated[Path, typer.Option(help="Folder for the pictures, one for each image.")],
    method: Annotated[
        str | None,
        choice(
            EXPLAIN_METHODS,
            help="Default: layer-cam for detectors, occlusion for exported files, which have no "
            "gradients, grad-cam for others.",
        ),
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            help="Pyramid level that is explained, such as P4. Default: the deepest; that of the "
            "anchor point of a detection."
        ),
    ] = None,
    class_name: Annotated[
        str | None,
        typer.Option(
            "--class",
            metavar="NAME",
            help="Name or id of the class, or of a regressor's number. Default: the most probable "
            "class; the first number.",
        ),
    ] = None,
    detection: Annotated[
        int | None,
        typer.Option(
            help="Detectors: number of the detection, from 0, the one with the highest confidence.",
            min=0,
        ),
    ] = None,
    maps: Annotated[
        bool, typer.Option(help="Also write the values of each map, as an .npz file.")
    ] = False,
    grid: Annotated[
        int,
        typer.Option(help="occlusion: number of positions of the patch along each side.", min=1),
    ] = 15,
    score_threshold: ScoreThresholdOption = None,
    image_size: ImageSizeOption = None,
    batch_size: BatchSizeOption = 8,
    runtime: RuntimeOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Show where in images a model finds a class or one detection, or what raises a number.

    A picture has the image, the heat map over it, the class and its score.
    """
    from cspdarknet.analysis.explainer import Explainer

    console, folder = Console(), OutputFolder(out)
    files = find_images(images, out, RESULTS)
    _claim(folder, files, maps)
    with console.status("loading the model"):
        explainer = Explainer(
            model,
            method,
            level=level,
            image_size=image_size,
            options=detection_options(score_threshold),
            grid=grid,
            batch_size=batch_size,
            runtime=runtime,
            device=device,
        )
    explainer.check(class_name, detection)
    rows: list[dict[str, Any]] = []
    failures: list[str] = []
    with (
        interruptible(console),
        progress_bar(console, "explaining", len(files) * explainer.passes) as advance,
    ):
        for file, result in _explained(explainer, files, class_name, detection, advance):
            if isinstance(result, str):
                failures.append(result)
                continue
            picture, arrays = _targets(folder, file)
            save_picture(result.picture(), picture)
            if maps:
                result.save(arrays)
            rows.append({"file": str(file.key), **result.to_json()})
    folder.write_json(RESULTS, rows)
    print_table(console, _table(rows))
    say(console, f"Pictures of {len(rows)} of {len(files)} images: {out}")
    report_failures(console, failures)


def _claim(folder: OutputFolder, files: Sequence[ImageFile], maps: bool) -> None:
    """Mark a new folder, in which no result may replace another file."""
    if (folder.path / RESULTS).exists():
        return
    for file in files:
        for target in _targets(folder, file)[: 1 + maps]:
            if target.exists():
                raise ValueError(
                    f"{target} exists, and is not the result of an earlier run: choose another "
                    "folder."
                )
    folder.write_json(RESULTS, [])


def _targets(folder: OutputFolder, file: ImageFile) -> tuple[Path, Path]:
    """Return the files of the picture and of the values."""
    name = file.key.name
    return folder.path / file.key.with_name(name + ".jpg"), folder.path / file.key.with_name(
        name + ".npz"
    )


def _explained(
    explainer: "Explainer",
    files: Sequence[ImageFile],
    class_name: str | None,
    detection: int | None,
    advance: Callable[[int], None],
) -> "Iterator[tuple[ImageFile, Explanation | str]]":
    """Yield each file with its explanation, or why it has none."""
    from cspdarknet.analysis.targets import TargetError

    for file in files:
        try:
            yield (
                file,
                explainer(file.path, class_name, detection=detection, progress=advance),
            )
        except (ImageError, TargetError) as error:
            advance(explainer.passes)
            yield file, str(error)


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    table = plain_table()
    table.add_column("image", overflow="fold")
    table.add_column("explained", no_wrap=True)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("method", no_wrap=True)
    table.add_column("level", no_wrap=True)
    for row in rows:
        cells = (row["file"], row["class_name"], f"{row['score']:.3f}", row["method"])
        table.add_row(*map(escape, cells), row["level"] or "-")
    return table
