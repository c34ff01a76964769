"""Plots of results, in one style."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from harness.results import Row

COLORS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#555555", "#000000"]
MARKERS = "osD^vPX*"


def new_figure(rows: int = 1, columns: int = 1, size: tuple[float, float] = (7, 4.5)) -> Any:
    """Return a figure and the 2-D array of its axes."""
    import matplotlib as mpl
    from cycler import cycler

    mpl.use("agg")
    import matplotlib.pyplot as plt

    mpl.rcParams.update(
        {
            "axes.prop_cycle": cycler(color=COLORS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.alpha": 0.3,
            "font.size": 9,
            "legend.frameon": False,
        }
    )
    return plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)


def save_figure(figure: Any, path: Path) -> None:
    """Write a figure as a PNG file and close it."""
    import matplotlib.pyplot as plt

    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def plot_bars(
    path: Path, rows: Sequence[Row], names: Sequence[str], values: Sequence[str], unit: str
) -> None:
    """Draw a table as horizontal bars.

    Args:
        path: The PNG file.
        rows: The rows of the table.
        names: The columns that together name a bar.
        values: The columns to draw, each over the one before it. The values of the first are
            written beside the bars.
        unit: Label of the axis.
    """
    figure, axes = new_figure(size=(7, 1 + 0.3 * len(rows)))
    labels = [", ".join(str(row[name]) for name in names) for row in rows]
    for i, column in enumerate(values):
        bars = axes[0, 0].barh(labels, [row[column] for row in rows], label=column)
        if i == 0:
            axes[0, 0].bar_label(bars, padding=3)
    axes[0, 0].invert_yaxis()
    axes[0, 0].set_xlabel(unit)
    if len(values) > 1:
        figure.legend(loc="outside upper center", ncols=len(values))
    save_figure(figure, path)
