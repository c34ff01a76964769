"""`cspdarknet data convert`, `split` and `pack`: datasets written to new folders."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cspdarknet.cli.choices import PACKED_FORMATS, SPLIT_BY, TASKS, WRITTEN_FORMATS, choice
from cspdarknet.cli.data import LabelsOption, shown_progress
from cspdarknet.cli.options import FormatOption, OnProblemOption
from cspdarknet.cli.progress import interruptible

if TYPE_CHECKING:
    from cspdarknet.data import Problem
    from cspdarknet.data.writers import PackedDataset, WrittenDataset

SHOWN_PROBLEMS = 3

SourceArgument = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="A folder or annotation file in any format, a .parquet file, or hf://datasets/…",
    ),
]
DestinationArgument = Annotated[
    Path, typer.Argument(metavar="DESTINATION", help="A new or empty folder.")
]
TaskOption = Annotated[
    str | None,
    choice(TASKS, help="What the dataset is for. Default: recognized from the data."),
]
LinkOption = Annotated[
    bool, typer.Option("--link", help="Make hard links to the images instead of copies.")
]


def convert_data(
    source: SourceArgument,
    destination: DestinationArgument,
    to: Annotated[
        str,
        choice(
            WRITTEN_FORMATS,
            help="Format to write: coco, voc or yolo for detection; folder, one for each class, "
            "for classification, or multi-label with --labels multi; numbers for regression.",
        ),
    ],
    task: TaskOption = None,
    format: FormatOption = None,
    on_problem: OnProblemOption = "raise",
    link: LinkOption = False,
    labels: LabelsOption = "single",
) -> None:
    """Convert a dataset to another format, with its splits and the order of its classes."""
    from cspdarknet.data.writers import convert_dataset

    _show(convert_dataset(source, destination, to, task, format, on_problem, link, labels))


def split_data(
    source: SourceArgument,
    destination: DestinationArgument,
    fractions: Annotated[
        str, typer.Option(help="Fractions for training, validation and test, of sum 1.")
    ] = "0.8,0.1,0.1",
    by: Annotated[str, choice(SPLIT_BY, help="class keeps the fraction of each class.")] = "class",
    group: Annotated[
        str | None,
        typer.Option(
            help="Keep related images in one split, such as frames of one video: a regular "
            "expression that finds the name of the group in each file name; or folder."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the choice.", min=0)] = 0,
    to: Annotated[
        str | None,
        choice(WRITTEN_FORMATS, help="Format to write. Default: that of the source."),
    ] = None,
    task: TaskOption = None,
    format: FormatOption = None,
    on_problem: OnProblemOption = "raise",
    link: LinkOption = False,
    labels: LabelsOption = "single",
) -> None:
    """Write a dataset with new splits, stratified by class."""
    from cspdarknet.data.writers import split_dataset

    written = split_dataset(
        source,
        destination,
        _numbers(fractions),
        seed,
        by,
        group,
        to=to,
        task=task,
        format=format,
        on_problem=on_problem,
        link=link,
        labels=labels,
    )
    _show(written)


def pack_data(
    source: SourceArgument,
    destination: Annotated[
        Path,
        typer.Argument(
            metavar="DESTINATION",
            help="A new or empty folder, or that of an interrupted packing, which is continued.",
        ),
    ],
    to: Annotated[
        str,
        choice(
            PACKED_FORMATS,
            help="Format of the shards: array-record, Grain's own; or parquet, which other tools "
            "read too.",
        ),
    ] = "array-record",
    shard_size: Annotated[int, typer.Option(help="Size of a shard in MB.", min=1)] = 256,
    task: TaskOption = None,
    format: FormatOption = None,
    on_problem: OnProblemOption = "raise",
    labels: LabelsOption = "single",
) -> None:
    """Pack a dataset into a few large files, which every command reads like the folder.

    Run the same command again to continue after an interruption.
    """
    from cspdarknet.data.writers import pack_dataset

    errors = Console(stderr=True)
    advice = "Run the same command again to continue."
    with interruptible(errors, advice), shown_progress(errors) as progress:
        packed = pack_dataset(
            source, destination, to, shard_size, task, format, on_problem, progress, labels
        )
    _show_packed(packed)


def clear_cache(
    folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[FOLDER]",
            help="The folder of `train --image-cache`. Default: that in the user's cache folder.",
        ),
    ] = None,
) -> None:
    """Remove the decoded images that `train --image-cache` keeps."""
    from cspdarknet.data.disk_cache import clear_disk_cache
    from cspdarknet.data.problems import count_of

    count, size = clear_disk_cache(folder or "disk")
    _print(f"{count_of(count, 'decoded image')} removed, {size / 1e6:,.1f} MB.", ())


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(
            f"`--fractions` must be numbers such as 0.8,0.1,0.1. Received: {text!r}"
        ) from error


def _show(written: "WrittenDataset") -> None:
    """Print what was written, and the problems by kind."""
    from cspdarknet.data.problems import count_of

    counts = ", ".join(f"{count:,} {split}" for split, count in written.images.items())
    boxes = f", {count_of(written.boxes, 'box', 'boxes')}" if written.task == "detection" else ""
    line = (
        f"{count_of(sum(written.images.values()), 'image')} ({counts}){boxes}, "
        f"{_classes(written)}: {written.path} ({written.to})"
    )
    _print(line, written.problems)


def _show_packed(packed: "PackedDataset") -> None:
    """Print what was packed, and the problems by kind."""
    from cspdarknet.data.problems import count_of

    counts = ", ".join(f"{count:,} {split}" for split, count in packed.images.items())
    kept = f", {packed.kept:,} of them written before" if packed.kept else ""
    line = (
        f"{count_of(sum(packed.images.values()), 'image')} ({counts}), "
        f"{_classes(packed)}, in "
        f"{count_of(packed.shards, 'shard')}{kept}, {packed.bytes / 1e6:,.1f} MB: {packed.path} "
        f"({packed.to})"
    )
    _print(line, packed.problems)


def _classes(dataset: "WrittenDataset | PackedDataset") -> str:
    """Return the number of classes, or of the columns of a table of numbers."""
    from cspdarknet.data.problems import count_of

    of_numbers = dataset.task == "regression"
    what = ("column", "columns") if of_numbers else ("class", "classes")
    return count_of(len(dataset.class_names), *what)


def _print(line: str, found: "Sequence[Problem]") -> None:
    """Print a line, and the problems by kind."""
    from cspdarknet.data.problems import KINDS, by_kind

    lines = [line]
    for kind, problems in by_kind(found).items():
        lines.append(f"{KINDS[kind].title} ({KINDS[kind].action}): {len(problems):,}")
        lines += [f"  {problem}" for problem in problems[:SHOWN_PROBLEMS]]
    console = Console()
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
