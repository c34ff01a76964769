"""The part of `cspdarknet data check` that compares images by a model's vectors."""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from rich.console import Console

from cspdarknet._files import OutputFolder
from cspdarknet.cli.results import say
from cspdarknet.data.problems import count_of

if TYPE_CHECKING:
    from cspdarknet.analysis import EmbeddingCheck
    from cspdarknet.data.doctor import DatasetImage

SHOWN = 5
GROUPS, OUTLIERS = "near_duplicates.jpg", "outliers.jpg"
JPEG_QUALITY = 90


def print_embedding_check(check: "EmbeddingCheck", console: Console) -> None:
    """Print near duplicates and outliers, the first ones by name."""
    leaks = sum(group.leaks for group in check.groups)
    conflicts = sum(group.conflicts for group in check.groups)
    say(console, f"\n{check.images:,} images compared by {check.model}")
    say(
        console,
        f"{count_of(len(check.groups), 'group')} of near duplicates (cosine at least "
        f"{check.similarity:g}), {leaks:,} across splits, {conflicts:,} across classes",
    )
    for group in check.groups[:SHOWN]:
        say(console, f"  {group.similarity:.3f}  {_listed(group.images)}")
    _say_more(console, len(check.groups))
    say(console, f"{count_of(len(check.outliers), 'outlier')} (distance to the nearest images)")
    for outlier in check.outliers[:SHOWN]:
        say(console, f"  {outlier.distance:.3f}  {_listed([outlier.image])}")
    _say_more(console, len(check.outliers))
    for reason in check.errors.values():
        say(console, f"left out: {reason}")


def write_sheets(check: "EmbeddingCheck", folder: OutputFolder, console: Console) -> None:
    """Write pictures of the near duplicates and outliers, and say where."""
    from cspdarknet.analysis.sheets import draw_groups, draw_outliers

    sheets = {}
    if check.groups:
        sheets[GROUPS] = draw_groups(check.groups)
    if check.outliers:
        sheets[OUTLIERS] = draw_outliers(check.outliers)
    for name, sheet in sheets.items():
        folder.write(name, partial(sheet.save, format="JPEG", quality=JPEG_QUALITY))
        say(console, f"Picture: {folder.path / name}")


def _listed(images: "Sequence[DatasetImage]") -> str:
    names = [f"{image.path} ({image.split})" for image in images[:SHOWN]]
    more = len(images) - SHOWN
    return ", ".join(names) + (f" and {more:,} more" if more > 0 else "")


def _say_more(console: Console, count: int) -> None:
    if count > SHOWN:
        say(console, f"  and {count - SHOWN:,} more: see --json")
