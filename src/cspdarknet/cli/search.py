"""`cspdarknet search`: the most similar images of given ones."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cspdarknet.cli.choices import SEARCH_METHODS, choice
from cspdarknet.cli.options import DeviceOption, RuntimeOption
from cspdarknet.cli.progress import interruptible, progress_bar, report_failures
from cspdarknet.cli.results import say
from cspdarknet.cli.tables import plain_table, print_table

if TYPE_CHECKING:
    from cspdarknet.analysis import Embeddings, Neighbors

INDEX = ".usearch"  # behind the name of the file of vectors


def search(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A file of vectors, as `embed` writes.")
    ],
    query: Annotated[
        str,
        typer.Argument(metavar="QUERY", help="An image, a folder of images, or a key in FILE."),
    ],
    top: Annotated[int, typer.Option(help="Number of neighbors.", min=1)] = 10,
    out: Annotated[
        Path | None,
        typer.Option(help="Picture of the queries and their neighbors: .jpg or .png."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="MODEL", help="The model of FILE, if it is not where it was. Default: it is."
        ),
    ] = None,
    method: Annotated[
        str,
        choice(
            SEARCH_METHODS,
            help="exact; index: approximate, by usearch, kept beside FILE; auto: exact up to a "
            "million vectors.",
        ),
    ] = "auto",
    runtime: RuntimeOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Find the images that are most similar to others, by the cosine of their vectors."""
    from cspdarknet.analysis.embeddings import load_embeddings
    from cspdarknet.analysis.neighbors import search as search_vectors
    from cspdarknet.visualize import check_picture_path

    console = Console()
    if out is not None:
        check_picture_path(out)
    embeddings = load_embeddings(file)
    queries: Any = query
    pictures: list[Path] | None = None
    failures: list[str] = []
    if query not in embeddings.rows:
        options = {"runtime": runtime, "device": device}
        queries = _embedded(embeddings, query, model, options, console)
        pictures, failures = queries.paths, list(queries.errors.values())
    with interruptible(console), _progress(console, len(embeddings)) as advance:
        index_file = file.with_name(file.name + INDEX)
        results = search_vectors(embeddings, queries, top, method, index_file, advance)
    print_table(console, _table(results))
    if out is not None:
        _draw(results, embeddings, pictures, out, console)
    report_failures(console, failures)


@contextmanager
def _progress(console: Console, count: int) -> Iterator[Callable[[int], None]]:
    """Show that a search runs; from the first call of the yielded function on, a progress bar."""
    with ExitStack() as stack:
        status = stack.enter_context(console.status("searching"))
        bars: list[Callable[[int], None]] = []

        def advance(added: int) -> None:
            if not bars:
                status.stop()
                bars.append(stack.enter_context(progress_bar(console, "building the index", count)))
            bars[0](added)

        yield advance


def _embedded(
    embeddings: "Embeddings",
    query: str,
    model: str | None,
    options: dict[str, Any],
    console: Console,
) -> "Embeddings":
    """Embed the images of a query as those of the file were."""
    from cspdarknet.analysis.embedder import Embedder
    from cspdarknet.analysis.embedding_run import embed_files, list_images

    if not Path(query).exists():
        raise ValueError(
            f"QUERY must be an image, a folder of images, or a key of the file. Received: {query}, "
            f"while the first of {len(embeddings):,} keys is {embeddings.keys[0]}."
        )
    files, folder = list_images(query)
    with console.status("loading the model"):
        embedder = Embedder.like(embeddings.settings, model, **options)
    with interruptible(console), progress_bar(console, "embedding", len(files)) as advance:
        return embed_files(files, embedder, folder=folder, progress=advance)


def _table(results: Sequence["Neighbors"]) -> Table:
    table = plain_table()
    table.add_column("query", overflow="fold")
    table.add_column("rank", justify="right", no_wrap=True)
    table.add_column("cosine", justify="right", no_wrap=True)
    table.add_column("image", overflow="fold")
    for result in results:
        pairs = zip(result.keys, result.similarities, strict=True)
        for rank, (key, similarity) in enumerate(pairs, 1):
            table.add_row(escape(result.query), str(rank), f"{similarity:.4f}", escape(key))
    return table


def _draw(
    results: Sequence["Neighbors"],
    embeddings: "Embeddings",
    queries: list[Path] | None,
    out: Path,
    console: Console,
) -> None:
    from cspdarknet.analysis.sheets import MAX_ROWS, draw_neighbors
    from cspdarknet.visualize import save_picture

    save_picture(draw_neighbors(results, embeddings, queries), out)
    some = f" (of the first {MAX_ROWS} queries)" if len(results) > MAX_ROWS else ""
    say(console, f"Picture of the neighbors{some}: {out}")
