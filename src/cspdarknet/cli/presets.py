"""`cspdarknet presets`: the built-in models as a table."""

from rich.console import Console
from rich.table import Table

from cspdarknet.presets.records import PRESETS
from cspdarknet.presets.sizes import SIZES


def presets() -> None:
    """List the built-in presets."""
    table = Table(title="Presets of CSPDarkNetBackbone")
    for column in ("name", "params", "channels", "depth", "weights"):
        table.add_column(column, no_wrap=True)
    for preset in PRESETS.values():
        size = SIZES[preset.size]
        table.add_row(
            preset.name,
            f"{preset.parameters / 1e6:.2f}M",
            " ".join(map(str, size.stackwise_channels)),
            " ".join(map(str, size.stackwise_depth)),
            preset.dataset or "-",
        )
    Console().print(table)
