"""Write the table of the models with weights into the README, from the records.

python tools/model_table.py
"""

from pathlib import Path

from cspdarknet.presets.listing import FACTS, facts
from cspdarknet.presets.records import PRESETS

README = Path(__file__).resolve().parents[1] / "README.md"
BEGIN, END = "<!-- models: written by tools/model_table.py -->\n", "<!-- end of models -->\n"


def table() -> str:
    """Return the table as Markdown."""
    lines = [FACTS, ("---",) * len(FACTS)]
    for preset in PRESETS.values():
        if preset.has_weights:
            name, *others = facts(preset)
            lines.append((f"`{name}`", *others))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def updated(text: str) -> str:
    """Return the README with the table of today's records."""
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


if __name__ == "__main__":
    README.write_text(updated(README.read_text()))
