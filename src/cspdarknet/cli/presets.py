"""`cspdarknet presets`: table of the built-in presets."""

from rich.console import Console

from cspdarknet.cli.tables import plain_table, print_table
from cspdarknet.presets.records import PRESETS


def presets() -> None:
    """List the built-in presets.

    The accuracy is the published one in percent: top-1, or AP, which is COCO's mAP. MB is the size
    of the weights: of the bundled file, or in float32.
    """
    table = plain_table("name", "task")
    for title in ("params", "MB"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("accuracy", "weights"):
        table.add_column(title, no_wrap=True)
    for preset in PRESETS.values():
        table.add_row(
            preset.name,
            preset.task,
            f"{(preset.parameters + preset.head_parameters) / 1e6:.2f}M",
            f"{preset.megabytes:.1f}",
            preset.metric or "-",
            preset.origin,
        )
    print_table(Console(), table)
