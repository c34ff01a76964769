"""Links of the guides to files outside the folder `docs`, such as `../benchmarks/tiles.py`.

They lead to the repository where its address is known, and are code without a link otherwise.
"""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(((?!https?:|#|mailto:)[^)\s#]+)(#[^)\s]*)?\)")


def rewrite(text: str, folder: Path, root: Path, repository: str, pages: str = "docs") -> str:
    """Return a page with its links to files outside the documentation rewritten.

    Args:
        text: the page, in Markdown.
        folder: the folder that links of the page are relative to.
        root: the folder of the repository.
        repository: address of the repository; empty if it is not known.
        pages: folder of the documentation in the repository, whose pages are linked as such; empty
            for a text that leaves the site, such as a notebook.
    """

    def replace(match: re.Match[str]) -> str:
        label, link, anchor = match[1], match[2], match[3] or ""
        path = Path(os.path.normpath(folder / link))
        if not path.exists():  # code, such as `steps["first"](image)`
            return match[0]
        name = path.relative_to(root).as_posix()
        if pages and path.is_relative_to(root / pages):
            page = path.relative_to(root / pages).as_posix()
            is_page = folder.is_relative_to(root / pages)
            return match[0] if is_page else f"[{label}](/{page}{anchor})"
        if repository:
            kind = "tree" if path.is_dir() else "blob"
            return f"[{label}]({repository}/{kind}/main/{name}{anchor})"
        return f"`{name}`" if label.strip("`") in name else f"{label} (`{name}`)"

    return LINK.sub(replace, text)


def read_page(app: Sphinx, docname: str, content: list[str]) -> None:
    """Rewrite the links of a page."""
    folder = Path(app.env.doc2path(docname)).parent
    content[0] = rewrite(content[0], folder, app.srcdir.parent, app.config.repository_url)


def read_included(app: Sphinx, path: Path, _: str, content: list[str]) -> None:
    """Rewrite the links of a file that a page includes."""
    folder = (app.srcdir / path).resolve().parent
    content[0] = rewrite(content[0], folder, app.srcdir.parent, app.config.repository_url)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the setting and the hooks."""
    app.add_config_value("repository_url", "", "env", str)
    app.connect("source-read", read_page)
    app.connect("include-read", read_included)
    return {"parallel_read_safe": True}
