"""`cspdarknet data convert` and `cspdarknet data split`: datasets written to new folders."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from cspdarknet.cli.choices import SPLIT_BY, TASKS, WRITTEN_FORMATS, choice
from cspdarknet.cli.options import FormatOption, OnProblemOption

if TYPE_CHECKING:
    from cspdarknet.data.writers import WrittenDataset

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
            "for classification.",
        ),
    ],
    task: TaskOption = None,
    format: FormatOption = None,
    on_problem: OnProblemOption = "raise",
    link: LinkOption = False,
) -> None:
    """Convert a dataset to another format, with its splits and the order of its classes."""
    from cspdarknet.data.writers import convert_dataset

    _show(convert_dataset(source, destination, to, task, format, on_problem, link))


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
    )
    _show(written)


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(
            f"`--fractions` must be numbers such as 0.8,0.1,0.1. Received: {text!r}"
        ) from error


def _show(written: "WrittenDataset") -> None:
    """Print what was written, and the problems by kind."""
    from cspdarknet.data.problems import KINDS, by_kind, count_of

    counts = ", ".join(f"{count:,} {split}" for split, count in written.images.items())
    boxes = f", {count_of(written.boxes, 'box', 'boxes')}" if written.task == "detection" else ""
    lines = [
        f"{count_of(sum(written.images.values()), 'image')} ({counts}){boxes}, "
        f"{count_of(len(written.class_names), 'class', 'classes')}: {written.path} ({written.to})"
    ]
    for kind, problems in by_kind(written.problems).items():
        lines.append(f"{KINDS[kind].title} ({KINDS[kind].action}): {len(problems):,}")
        lines += [f"  {problem}" for problem in problems[:SHOWN_PROBLEMS]]
    console = Console()
    for line in lines:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
