"""The command line: one module for each command."""

import io
import sys
import warnings
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from cspdarknet._version import __version__
from cspdarknet.cli.benchmark import benchmark
from cspdarknet.cli.compare import compare
from cspdarknet.cli.convert import convert, verify
from cspdarknet.cli.data import data_app
from cspdarknet.cli.data_files import clear_cache, convert_data, pack_data, split_data
from cspdarknet.cli.detect import detect
from cspdarknet.cli.embed import embed
from cspdarknet.cli.evaluate import evaluate
from cspdarknet.cli.explain import explain
from cspdarknet.cli.export import export
from cspdarknet.cli.features import features
from cspdarknet.cli.info import info
from cspdarknet.cli.inspect import inspect
from cspdarknet.cli.predict import predict
from cspdarknet.cli.presets import presets
from cspdarknet.cli.probe import probe
from cspdarknet.cli.push import push
from cspdarknet.cli.search import search
from cspdarknet.cli.serve import serve
from cspdarknet.cli.signals import Commands, ended_by_signals
from cspdarknet.cli.swapped import ModelCommand
from cspdarknet.cli.track import track
from cspdarknet.cli.train import train

python_warning = warnings.showwarning


def _show_version(value: bool) -> None:
    if value:
        print(f"cspdarknet {__version__}")
        raise typer.Exit


app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command()(presets)
app.command(cls=ModelCommand)(features)
app.command(cls=ModelCommand)(convert)
app.command(cls=ModelCommand)(verify)
app.command()(train)
app.command(cls=ModelCommand)(evaluate)
app.command(cls=ModelCommand)(predict)
app.command(cls=ModelCommand)(detect)
app.command(cls=ModelCommand)(track)
app.command(cls=ModelCommand)(export)
app.command(cls=ModelCommand)(benchmark)
app.command()(push)
app.command()(embed)
app.command()(search)
app.command()(probe)
app.command(cls=ModelCommand)(explain)
app.command(cls=ModelCommand)(inspect)
app.command()(compare)
app.command()(serve)
app.command()(info)
app.add_typer(data_app, name="data")
data_app.command("convert")(convert_data)
data_app.command("split")(split_data)
data_app.command("pack")(pack_data)
data_app.command("clear-cache")(clear_cache)


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """CSPDarkNet, the backbone of the YOLO line, for Keras 3."""


def _show_warning(message: Warning | str, category: type[Warning], *place: Any, **to: Any) -> None:
    """Show a warning of this package as one line, without its place in the code."""
    if not category.__module__.startswith("cspdarknet."):
        python_warning(message, category, *place, **to)
        return
    text = f"[bold yellow]Warning:[/] {escape(str(message))}"
    Console(stderr=True).print(text, highlight=False, soft_wrap=True)


def main() -> None:
    """Run the command line; errors that the user can fix are shown without a traceback."""
    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):
        # The encoding of a Windows console, or of a file, may lack characters of file names;
        # "surrogateescape", which the C locale has, fails at these, too.
        if isinstance(stream, io.TextIOWrapper) and stream.errors in ("strict", "surrogateescape"):
            stream.reconfigure(errors="replace")
    with ended_by_signals():
        try:
            app()
        except (ValueError, OSError, ImportError) as error:
            message = f"[bold red]Error:[/] {escape(str(error))}"
            Console(stderr=True).print(message, highlight=False, soft_wrap=True)
            sys.exit(1)
