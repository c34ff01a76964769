"""`cspdarknet presets`: table of the built-in presets."""

from rich.console import Console

from cspdarknet.cli.tables import plain_table, print_table
from cspdarknet.presets.listing import FACTS, facts
from cspdarknet.presets.records import PRESETS

TEXTS = ("name", "task", "accuracy", "license", "weights")  # columns that are not numbers


def presets() -> None:
    """List the built-in presets.

    The accuracy is the published one in percent: top-1, or AP, which is COCO's mAP. MB is the size
    of the weights: of the bundled file, or in float32. GFLOPs and ms are billions of floating-point
    operations and milliseconds of an image of so many pixels, in float32 on two cores of a server.
    """
    table = plain_table()
    for title in FACTS:
        table.add_column(title, no_wrap=True, justify="left" if title in TEXTS else "right")
    for preset in PRESETS.values():
        table.add_row(*facts(preset))
    print_table(Console(), table)
