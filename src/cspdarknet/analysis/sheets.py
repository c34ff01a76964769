"""Picture sheets of neighbors, near duplicates and outliers, with file names."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image, ImageOps

from cspdarknet.analysis.embeddings import Embeddings
from cspdarknet.analysis.neighbors import Neighbors
from cspdarknet.analysis.outliers import Outlier
from cspdarknet.analysis.similar import SimilarGroup
from cspdarknet.data.doctor.duplicates import DatasetImage
from cspdarknet.reports.contact_sheet import Tile, draw_contact_sheet, open_or_blank

SIDE = 150  # pixels of an image
COLUMNS = 8
MAX_ROWS = 50  # a sheet of more would take too much memory
EMPTY = Tile(Image.new("RGB", (1, 1), "white"), ())


def draw_neighbors(
    results: Sequence[Neighbors],
    embeddings: Embeddings,
    queries: Sequence[str | Path | None] | None = None,
) -> Image.Image:
    """Draw each query beside its neighbors, with file names and similarities.

    Args:
        results: as of `search`; the first 50 are drawn.
        embeddings: the images that were searched.
        queries: the image file of each query, `None` for a vector. Without the argument, the
            queries are keys of `embeddings`.

    Raises:
        ValueError: if there are no results, or a query is no key and `queries` are not given.
    """
    paths = embeddings.paths
    if queries is None:
        if unknown := [r.query for r in results if r.query not in embeddings.rows]:
            raise ValueError(
                "The queries must be keys of `embeddings`, or be passed as `queries`: an image "
                f"file or None for each. Received: {unknown[0]!r}, which is no key."
            )
        queries = [paths[embeddings.rows[r.query]] for r in results]
    most = max((len(result.keys) for result in results), default=0)
    tiles: list[Tile] = []
    for result, query in list(zip(results, queries, strict=True))[:MAX_ROWS]:
        row = [EMPTY if query is None else _tile(Path(query), "query", "royalblue")]
        for i, similarity in zip(result.rows, result.similarities, strict=True):
            row.append(_tile(paths[i], f"{similarity:.3f}", "black"))
        tiles += row + [EMPTY] * (1 + most - len(row))
    return _sheet(tiles, 1 + most)


def draw_groups(groups: Sequence[SimilarGroup]) -> Image.Image:
    """Draw near duplicates, a group in each row, with splits, classes and file names.

    Args:
        groups: as of `find_similar`; the first 50 are drawn, and of each the first images.

    Raises:
        ValueError: if there are no groups.
    """
    columns = min(COLUMNS, max((len(group.images) for group in groups), default=0))
    tiles: list[Tile] = []
    for group in groups[:MAX_ROWS]:
        color = "crimson" if group.leaks or group.conflicts else "black"
        row = [_tile(i.path, _where(i, f"{group.similarity:.3f}"), color) for i in group.images]
        tiles += row[:columns] + [EMPTY] * (columns - len(row))
    return _sheet(tiles, columns)


def draw_outliers(outliers: Sequence[Outlier]) -> Image.Image:
    """Draw outliers with their distances, splits, classes and file names.

    Args:
        outliers: as of `find_outliers`; the first 400 are drawn.

    Raises:
        ValueError: if there are no outliers.
    """
    tiles = [
        _tile(outlier.image.path, _where(outlier.image, f"{outlier.distance:.3f}"), "black")
        for outlier in outliers[: COLUMNS * MAX_ROWS]
    ]
    return _sheet(tiles, min(COLUMNS, len(tiles)))


def _where(image: DatasetImage, number: str) -> str:
    return " ".join(filter(None, [number, image.split, image.class_name]))


def _tile(path: Path, text: str, color: str) -> Tile:
    image = open_or_blank(path, 2 * SIDE, (SIDE, SIDE))
    image = ImageOps.contain(image.convert("RGB"), (SIDE, SIDE), Image.Resampling.BICUBIC)
    return Tile(image, ((text, color), (path.name, "gray")))


def _sheet(tiles: Sequence[Tile], columns: int) -> Image.Image:
    sheet = draw_contact_sheet(tiles, SIDE, columns)
    if sheet is None:
        raise ValueError("There must be images to draw. Received: none")
    return sheet
