"""Directive `presets`: a table of the built-in presets of one task, from their records."""

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from cspdarknet.presets.listing import FACTS, facts
from cspdarknet.presets.records import PRESETS, Preset


def row(preset: Preset) -> tuple[str, ...]:
    """Return the cells of a preset, without its task."""
    name, _, *others = facts(preset)
    return (f"`{name}`", *others)


class PresetTable(SphinxDirective):
    """The `presets` directive; its argument is a task."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        self.env.note_reread()  # the records are not a file of the site
        presets = [p for p in PRESETS.values() if p.task == self.arguments[0]]
        if not presets:
            raise self.error(f"There are no presets of the task {self.arguments[0]!r}.")
        head = [title for title in FACTS if title != "task"]
        lines = [head, ("---",) * len(head), *map(row, presets)]
        text = StringList([f"| {' | '.join(cells)} |" for cells in lines])
        container = nodes.container()
        self.state.nested_parse(text, self.content_offset, container)
        return list(container.children)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("presets", PresetTable)
    return {"parallel_read_safe": True}
