"""`cspdarknet presets`: table of the built-in presets."""

from rich.console import Console
from rich.table import Table

from cspdarknet.presets.records import PRESETS
from cspdarknet.presets.sizes import SIZES


def presets() -> None:
    """List the built-in presets."""
    table = Table(title="Presets")
    for column in ("name", "task", "backbone", "channels", "depth", "trained on"):
        table.add_column(column, no_wrap=True)
    for preset in PRESETS.values():
        size = SIZES[preset.size]
        table.add_row(
            preset.name,
            preset.task,
            f"{preset.parameters / 1e6:.2f}M",
            " ".join(map(str, size.stackwise_channels)),
            " ".join(map(str, size.stackwise_depth)),
            preset.dataset or "-",
        )
    Console().print(table)
