"""Directive `api`: a table and the entries of the names that are given, one in each line.

The argument is the package that the names are imported from. A constant, which has no docstring,
has its description behind a colon: `NAME: what it is`. Single backticks in docstrings are
Markdown's: code, which links to the entry of the same name if there is one.
"""

import importlib
import inspect
import re
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective, SphinxRole

import cspdarknet

# What Keras calls on its own, in the classes of models.
INTERNAL = {
    *("call", "train_step", "compute_loss", "get_config", "from_config", "token_embedding"),
    *("make_predict_function", "make_test_function", "make_train_function"),
}

COLON = "\N{RATIO}"  # looks the same, and stands for a colon while Napoleon reads a docstring


class PublicNames(SphinxDirective):
    """The `api` directive."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """Return the table and the entries."""
        package = self.arguments[0]
        module = importlib.import_module(package)
        described: dict[str, str] = {}
        for line in self.content:
            name, _, text = line.partition(":")
            described[name.strip()] = text.strip()
        if unknown := [name for name in described if not hasattr(module, name)]:
            raise self.error(f"{package} has no {', '.join(unknown)}.")
        documented = [name for name, text in described.items() if not text]
        lines = ["```{eval-rst}"]
        if len(documented) > 1:
            lines += [".. autosummary::", "   :nosignatures:", ""]
            lines += [f"   {package}.{name}" for name in documented]
        for name, text in described.items():
            value = getattr(module, name)
            lines += [
                "",
                *(constant(value, package, name, text) if text else entry(value, package, name)),
            ]
            self.note_parameters(value)
        container = nodes.container()
        content = StringList([*lines, "```"], self.get_source_info()[0])
        self.state.nested_parse(content, self.content_offset, container)
        return list(container.children)

    def note_parameters(self, value: Any) -> None:
        """Keep the names of the parameters of a public object, which docstrings mention as code."""
        is_error = inspect.isclass(value) and issubclass(value, BaseException)
        if callable(value) and not is_error:
            known = getattr(self.env, "public_parameters", frozenset())
            self.env.public_parameters = known | set(inspect.signature(value).parameters)


def constant(value: Any, package: str, name: str, text: str) -> list[str]:
    """Return the entry of a constant, with its type and description."""
    kind = type(value).__name__
    return [f".. py:data:: {package}.{name}", f"   :type: {kind}", "", f"   {text}"]


def entry(value: Any, package: str, name: str) -> list[str]:
    """Return the directive of autodoc for a public object."""
    if not inspect.isclass(value):
        return [f".. autofunction:: {package}.{name}"]
    kind = "exception" if issubclass(value, BaseException) else "class"
    options = ["   :no-inherited-members:"] if is_variant(value) else []
    return [f".. auto{kind}:: {package}.{name}", *options]


class CodeRole(SphinxRole):
    """Code in a docstring: a link to the name, if it is a public one."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        """Return the code, or a reference that `resolve_code` resolves."""
        name = self.text.removeprefix("cspdarknet.").removesuffix("()")
        code = nodes.literal(self.text, self.text, classes=["code"])
        if guide := re.fullmatch(r"docs/([\w-]+)\.md", self.text):
            return [self.reference(code, "std", "doc", f"/{guide[1]}")], []
        if not all(part.isidentifier() for part in name.split(".")):
            return [code], []
        return [self.reference(code, "py", "obj", f"cspdarknet.{name}", code=name)], []

    def reference(
        self, content: nodes.Node, domain: str, kind: str, target: str, **own: str
    ) -> Any:
        """Return code that is a link, once all pages have been read."""
        kinds = {"refdomain": domain, "reftype": kind, "reftarget": target}
        return pending_xref("", content, refdoc=self.env.docname, refexplicit=True, **kinds, **own)


def resolve_code(app: Sphinx, env: Any, node: pending_xref, content: nodes.Node) -> Any:
    """Return the link of a name in a docstring, or the code without a link."""
    if "code" not in node:
        return None
    name = node["code"]
    domain = env.domains.python_domain
    found = [
        full
        for full, entry in domain.objects.items()
        if (full == name or full.endswith(f".{name}")) and not entry.aliased
    ]
    # A bare name may also be that of a member of some class, or of an argument.
    is_bare = "." not in name
    if len(found) != 1 or (is_bare and (is_member(found[0]) or name in env.public_parameters)):
        return content
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", found[0], node, content)


def is_member(name: str) -> bool:
    """Whether a full name is of a member of a class."""
    return name.split(".")[-2][:1].isupper()


def skip_member(_: Sphinx, what: str, name: str, value: Any, *__: Any) -> bool | None:
    """Leave out what Keras or Python defines, or calls on its own."""
    function = value.fget if isinstance(value, property) else getattr(value, "__func__", value)
    module = getattr(function, "__module__", None) or "cspdarknet"
    if what == "class" and (name in INTERNAL or not module.startswith("cspdarknet")):
        return True
    return None


def is_variant(value: Any) -> bool:
    """Whether a class is one of a public class, whose entry has the members that it inherits."""
    bases = value.__mro__[1:] if inspect.isclass(value) else ()
    return any(getattr(cspdarknet, base.__name__, None) is base for base in bases)


def keep_colons(_: Sphinx, what: str, *rest: Any) -> None:
    """Hide the colons of sentences from Napoleon, which takes the words before them for a type."""
    section = "Returns" if what in ("attribute", "property") else ""
    lines = rest[-1]
    for i, line in enumerate(lines):
        if heading := re.fullmatch(r"(\w+):", line):
            section = heading[1]
        elif section in ("Returns", "Yields"):
            lines[i] = line.replace(":", COLON)


def restore_colons(_: Sphinx, __: str, *rest: Any) -> None:
    """Bring back the colons that were hidden."""
    rest[-1][:] = [line.replace(COLON, ":") for line in rest[-1]]


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the directive, the role and the hooks."""
    app.add_directive("api", PublicNames)
    app.add_role("code-or-link", CodeRole())
    app.connect("missing-reference", resolve_code)
    app.connect("autodoc-skip-member", skip_member)
    app.connect("autodoc-process-docstring", keep_colons, priority=400)
    app.connect("autodoc-process-docstring", restore_colons, priority=600)
    return {"parallel_read_safe": False}  # the names of parameters are kept in one process
