"""The command line: one module for each command."""

import sys

import typer
from rich.console import Console
from rich.markup import escape

from cspdarknet.cli.benchmark import benchmark
from cspdarknet.cli.convert import convert, verify
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


def main() -> None:
    """Run the command line; errors that the user can fix are shown without a traceback."""
    try:
        app()
    except (ValueError, OSError, ImportError) as error:
        message = f"[bold red]Error:[/] {escape(str(error))}"
        Console(stderr=True).print(message, highlight=False, soft_wrap=True)
        sys.exit(1)
