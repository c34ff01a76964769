"""`cspdarknet evaluate`: metrics of a multi-label classifier."""

from rich.console import Console
from rich.markup import escape

from cspdarknet.cli.results import say
from cspdarknet.cli.tables import plain_table, print_table
from cspdarknet.evaluate import MultiLabelEvaluation
from cspdarknet.reports.page import format_metric


def print_multi_label(evaluation: MultiLabelEvaluation, console: Console) -> None:
    """Print the metrics of each class, and those of all classes."""
    table = plain_table()
    table.add_column("class", overflow="fold")
    for title in ("images", "AP", "threshold", "precision", "recall", "F1"):
        table.add_column(title, justify="right", no_wrap=True)
    for c in evaluation.classes:
        metrics = map(format_metric, (c.precision, c.recall, c.f1))
        row = (str(c.images), format_metric(c.ap), f"{c.threshold:g}", *metrics)
        table.add_row(escape(c.name), *row)
    print_table(console, table)
    say(
        console,
        f"mAP {format_metric(evaluation.map)} of {len(evaluation.dataset)} images, micro F1 "
        f"{format_metric(evaluation.micro_f1)}, macro F1 {format_metric(evaluation.macro_f1)}, all "
        f"classes right in {evaluation.exact_match:.2%} of the images, loss {evaluation.loss:.4f}",
    )
