"""`cspdarknet data`: the data doctor, which checks, describes and shows datasets."""

import json as json_module
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from cspdarknet._extras import require
from cspdarknet._files import STANDARD_OUTPUT, OutputFolder, user_cache_folder, write_text
from cspdarknet._image_size import ImageSize, sides, to_text
from cspdarknet.cli.choices import LABELS, TASKS, choice
from cspdarknet.cli.options import FormatOption, WorkersOption, image_size_option
from cspdarknet.cli.progress import interruptible, progress_bar
from cspdarknet.cli.results import ResultsFile, check_results_files, write_results
from cspdarknet.images import RGB

if TYPE_CHECKING:
    from cspdarknet.data import Problem
    from cspdarknet.data.doctor.check import Progress

MAX_SHOWN, MAX_SHOWN_SIZE = 1000, 4096  # more would fill the memory
JSON_STARTS = ('{\n  "source": ',)  # how the file begins, by which an earlier result is known
data_app = typer.Typer(help="Check, describe and show datasets.", no_args_is_help=True)

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A folder or annotation file in any format, a .parquet file, or hf://datasets/…",
    ),
]
TaskOption = Annotated[
    str | None,
    choice(TASKS, help="What the dataset is for. Default: recognized."),
]
CacheOption = Annotated[
    Path | None,
    typer.Option(
        help="Folder for the sizes and checksums of the images, so that the next check decodes "
        "only what has changed. Default: cspdarknet in the user's cache folder.",
    ),
]
SizeOption = Annotated[
    Any,
    image_size_option(
        "Detection: side of the images in pixels, or height and width, such as 384x640."
    ),
]
ReportSizeOption = Annotated[
    Any,
    image_size_option(
        "Side of the images in pixels, or height and width, such as 384x640. Default: 416 for "
        "detection, 224 for classification."
    ),
]
ShownSizeOption = Annotated[
    Any,
    image_size_option(
        "Side of the images in pixels, or height and width, such as 384x640. Default: 416 for "
        "detection and 224 for classification; with --augmented, that of the recipe."
    ),
]
ChannelsOption = Annotated[
    int | None,
    typer.Option(
        help="Number of channels of the images, such as 1 for gray or 4 for multispectral ones, "
        "as of train. Default: 3.",
        min=1,
    ),
]
LabelsOption = Annotated[
    str,
    choice(
        LABELS,
        help="Classification: one class per image, any number (multi), or classes in order.",
    ),
]


@data_app.command()
def check(
    source: SourceArgument,
    task: TaskOption = None,
    format: FormatOption = None,
    image_size: SizeOption = "416",
    channels: ChannelsOption = None,
    labels: LabelsOption = "single",
    cache: CacheOption = None,
    json: Annotated[
        Path | None,
        typer.Option(help="File for all results, as JSON; - for the standard output."),
    ] = None,
    embeddings: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL",
            help="Also find near duplicates and outliers by the vectors of this model.",
        ),
    ] = None,
    similarity: Annotated[
        float,
        typer.Option(help="With --embeddings: lowest cosine of near duplicates.", min=0, max=1),
    ] = 0.97,
    sheets: Annotated[
        Path | None,
        typer.Option(help="With --embeddings: folder for pictures of what is found."),
    ] = None,
    workers: WorkersOption = 2,
) -> None:
    """Check a dataset: annotations, images, duplicates, classes, sizes of boxes.

    The exit status is 1 if a training would stop.
    """
    from cspdarknet.cli.data_embeddings import print_embedding_check, write_sheets
    from cspdarknet.cli.data_text import print_check
    from cspdarknet.data import check_dataset

    check_results_files(ResultsFile("--json", json, JSON_STARTS))
    if sheets is not None and embeddings is None:
        raise ValueError("`--sheets` needs `--embeddings`. Received: no model: name one.")
    folder = None if sheets is None else _output_folder(sheets, source)
    console, looks = Console(stderr=True), None
    with interruptible(console), shown_progress(console) as progress:
        result = check_dataset(
            source,
            task,
            format,
            image_size,
            cache or _user_cache(),
            workers,
            progress,
            channels or RGB,
            labels,
        )
        if embeddings is not None:
            from cspdarknet.analysis import check_by_embeddings

            vectors = cache or _user_cache()
            kept = None if vectors is None else vectors / "embeddings"
            looks = check_by_embeddings(
                source, embeddings, task, format, similarity, kept, progress, labels
            )
    content = result.to_json() | ({} if looks is None else {"embeddings": looks.to_json()})
    if json != STANDARD_OUTPUT:
        print_check(result, Console())
        if looks is not None:
            print_embedding_check(looks, Console())
    if looks is not None and folder is not None:
        write_sheets(looks, folder, Console(stderr=json == STANDARD_OUTPUT))
    write_results(Console(), "Results", [(json, lambda path: _write_json(path, content))])
    if result.stops:
        raise typer.Exit(1)


@data_app.command()
def stats(
    source: SourceArgument,
    out: Annotated[Path, typer.Option(help="Folder for the page, its pictures and the numbers.")],
    task: TaskOption = None,
    format: FormatOption = None,
    image_size: ReportSizeOption = None,
    labels: LabelsOption = "single",
    cache: CacheOption = None,
    workers: WorkersOption = 2,
) -> None:
    """Describe a dataset on a page with pictures: classes, boxes, sizes, samples."""
    from cspdarknet.cli.data_show import IMAGE_SIZES
    from cspdarknet.data.doctor import inspect_dataset
    from cspdarknet.reports import PAGE, write_dataset_report

    require("matplotlib", "train", "Drawing plots")
    folder = _output_folder(out, source)
    console, errors = Console(), Console(stderr=True)
    with interruptible(errors), shown_progress(errors) as progress:
        dataset, size_of = inspect_dataset(
            source, task, format, cache or _user_cache(), workers, progress, labels
        )
        with errors.status("drawing"):
            size = image_size or IMAGE_SIZES[dataset.task]
            write_dataset_report(folder, dataset, size, size_of)
    _say_left_out(console, dataset.problems)
    _print(console, f"Page: {out / PAGE}")


@data_app.command()
def show(
    source: SourceArgument,
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    task: TaskOption = None,
    format: FormatOption = None,
    augmented: Annotated[
        bool, typer.Option("--augmented", help="Show training batches of a recipe.")
    ] = False,
    recipe: Annotated[
        str, typer.Option(help="With --augmented: name of the recipe, or a JSON file.")
    ] = "finetune",
    count: Annotated[int, typer.Option(help="Number of images.", min=1, max=MAX_SHOWN)] = 16,
    image_size: ShownSizeOption = None,
    channels: ChannelsOption = None,
    labels: LabelsOption = "single",
    seed: Annotated[int, typer.Option(help="Random seed of the choice and augmentation.")] = 0,
) -> None:
    """Show what a network gets: images letterboxed or cropped, with boxes drawn in."""
    from cspdarknet.cli.data_show import augmented_pictures, evaluation_pictures, write_pictures
    from cspdarknet.data.doctor import inspect_dataset

    _check_shown_size(image_size)
    folder = _output_folder(out, source)
    console, errors = Console(), Console(stderr=True)
    with interruptible(errors), errors.status("reading"):
        dataset, _ = inspect_dataset(source, task, format, labels=labels)
        if augmented:
            pictures, text = augmented_pictures(dataset, recipe, image_size, count, seed, channels)
        else:
            pictures, text = evaluation_pictures(dataset, image_size, count, seed, channels)
        sheet = write_pictures(folder, pictures)
    _say_left_out(console, dataset.problems)
    _print(console, f"{text} Pictures: {out}, all of them: {sheet}")


def _check_shown_size(image_size: ImageSize | None) -> None:
    if image_size is not None and max(sides(image_size)) > MAX_SHOWN_SIZE:
        raise ValueError(
            f"`--image-size` of pictures must be at most {MAX_SHOWN_SIZE}. Received: "
            f"{to_text(image_size)}: choose a smaller one."
        )


def _output_folder(out: Path, source: str) -> OutputFolder:
    """Return the folder of the results, which must not be among the images.

    Raises:
        ValueError: if it is inside the dataset, or cannot be written.
    """
    if Path(source).is_dir() and out.resolve().is_relative_to(Path(source).resolve()):
        raise ValueError(f"{out} is inside the dataset {source}: choose another folder.")
    return OutputFolder(out)


@contextmanager
def shown_progress(console: Console) -> Iterator["Progress | None"]:
    """Yield a function that shows a progress bar until the end of the block; none in a pipe."""
    if not console.is_terminal:
        yield None
        return
    with ExitStack() as stack:
        yield lambda label, total: stack.enter_context(progress_bar(console, label, total))


def _print(console: Console, text: str) -> None:
    console.print(text, soft_wrap=True, markup=False, highlight=False)


def _say_left_out(console: Console, problems: Sequence["Problem"]) -> None:
    from cspdarknet.data.problems import count_of

    if stopping := sum(problem.stops for problem in problems):
        _print(
            console,
            f"{count_of(stopping, 'problem')} mended or left out: `cspdarknet data check` lists "
            "them.",
        )


def _write_json(path: Path, content: Any) -> None:
    write_text(path, json_module.dumps(content, indent=2) + "\n")


def _user_cache() -> Path | None:
    """Return the folder in the user's cache folder; `None` if it cannot be written."""
    try:
        return OutputFolder(user_cache_folder()).path
    except (ValueError, RuntimeError):  # the user may have no home
        return None
