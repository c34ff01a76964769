"""The command line: one module for each command."""

import io
import sys

import typer
from rich.console import Console
from rich.markup import escape

from cspdarknet.cli.benchmark import benchmark
from cspdarknet.cli.convert import convert, verify
from cspdarknet.cli.data import data_app
from cspdarknet.cli.data_files import convert_data, split_data
from cspdarknet.cli.detect import detect
from cspdarknet.cli.evaluate import evaluate
from cspdarknet.cli.export import export
from cspdarknet.cli.features import features
from cspdarknet.cli.info import info
from cspdarknet.cli.predict import predict
from cspdarknet.cli.presets import presets
from cspdarknet.cli.train import train

app = typer.Typer(
    help="CSPDarkNet, the backbone of the YOLO line, for Keras 3.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command()(presets)
app.command()(features)
app.command()(convert)
app.command()(verify)
app.command()(train)
app.command()(evaluate)
app.command()(predict)
app.command()(detect)
app.command()(export)
app.command()(benchmark)
app.command()(info)
app.add_typer(data_app, name="data")
data_app.command("convert")(convert_data)
data_app.command("split")(split_data)


def main() -> None:
    """Run the command line; errors that the user can fix are shown without a traceback."""
    for stream in (sys.stdout, sys.stderr):
        # The encoding of a Windows console, or of a file, may lack characters of file names.
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
    try:
        app()
    except (ValueError, OSError, ImportError) as error:
        message = f"[bold red]Error:[/] {escape(str(error))}"
        Console(stderr=True).print(message, highlight=False, soft_wrap=True)
        sys.exit(1)
