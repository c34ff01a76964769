"""Directive `commands`: the reference of the command line, from the Typer app itself."""

import importlib
import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from typer.main import get_command


def escaped(text: str) -> str:
    """Return a help text as reStructuredText that shows the same text."""
    parts = re.split(r"`([^`]+)`|(?<![\w-])(--[a-z][\w-]*)", " ".join(text.split()))
    plain = (re.sub(r"([*`|_\\]|:(?=//))", r"\\\1", part) for part in parts[::3])
    code = [
        f"``{quoted or option}``" for quoted, option in zip(parts[1::3], parts[2::3], strict=True)
    ]
    return "".join(part for pair in zip(plain, [*code, ""], strict=True) for part in pair)


def commands(group: Any, context: Any) -> Iterator[tuple[Any, Any]]:
    """Yield each command and its context; those of a group follow it."""
    for name, command in group.commands.items():
        inner = command.make_context(name, [], parent=context, resilient_parsing=True)
        if hasattr(command, "commands"):
            yield from commands(command, inner)
        else:
            yield command, inner


def entry(command: Any, context: Any) -> Iterator[str]:
    """Yield the lines of a command: usage, help text, arguments and options."""
    path = context.command_path
    usage = command.get_usage(context).removeprefix("Usage: ").split()
    yield from (f"## {path.removeprefix('cspdarknet ')}", "", "```{eval-rst}")
    yield from (f".. program:: {path}", "", ".. code-block:: text", "", f"   {' '.join(usage)}", "")
    for paragraph in re.split(r"\n\s*\n", command.help or ""):
        yield from (escaped(paragraph), "")
    records = [p.get_help_record(context) for p in command.params]
    for names, text in filter(None, records):
        yield from (f".. option:: {names.replace(' / ', ', ')}", "", f"   {escaped(text)}", "")
    yield "```"


def reference(address: str) -> list[str]:
    """Return the pages of all commands of an app, which is given as `package.module:app`."""
    module, _, name = address.partition(":")
    group = get_command(getattr(importlib.import_module(module), name))
    context = group.make_context(module.partition(".")[0], [], resilient_parsing=True)
    return [line for command, inner in commands(group, context) for line in entry(command, inner)]


class Commands(SphinxDirective):
    """The `commands` directive; its argument is the app, such as `package.module:app`."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the sections of the commands."""
        self.env.note_reread()  # the app is not a file of the site
        container = nodes.section()
        text = StringList(reference(self.arguments[0]), self.get_source_info()[0])
        self.state.nested_parse(text, self.content_offset, container, match_titles=True)
        return list(container.children)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive."""
    app.add_directive("commands", Commands)
    return {"parallel_read_safe": True}
