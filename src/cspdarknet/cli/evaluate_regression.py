"""The metrics of a regressor, as `cspdarknet evaluate` shows them."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from cspdarknet.cli.tables import plain_table, print_table

if TYPE_CHECKING:
    from cspdarknet.evaluate import RegressionEvaluation

TITLES = ("MAE", "95 % interval", "RMSE", "R2", "rank correlation")


def print_regression(evaluation: "RegressionEvaluation", console: Console) -> None:
    """Print the metrics of each target, in its units."""
    from cspdarknet.reports.page import format_metric

    table = plain_table()
    table.add_column("target", overflow="fold")
    for title in TITLES:
        table.add_column(title, justify="right", no_wrap=True)
    for t in evaluation.targets:
        low, high = t.mae_interval
        table.add_row(
            escape(t.name),
            f"{t.mae:.4g}",
            f"{low:.4g} to {high:.4g}",
            f"{t.rmse:.4g}",
            format_metric(t.r2),
            format_metric(t.spearman),
        )
    print_table(console, table)
    if len(evaluation.targets) > 1:
        text = f"mean R2 {format_metric(evaluation.mean_r2)} of {len(evaluation.targets)} targets"
        console.print(text, highlight=False, soft_wrap=True)
