"""Jupyter's files of the notebooks, which are kept as text: beside their pages, to be downloaded.

Google Colab opens them from the branch that the site is published on, where the address of the
repository is known.
"""

from pathlib import Path

import nbformat
from myst_nb.core.read import read_myst_markdown_notebook
from repository_links import rewrite
from sphinx.application import Sphinx

FOLDER = "notebooks"
BRANCH = "gh-pages"
COLAB = "https://colab.research.google.com/github"


def links(docname: str, repository: str) -> str:
    """Return the line of links under the title of a notebook."""
    name = docname.rpartition("/")[2]
    line = f'<a href="{name}.ipynb" download>Download this notebook</a>'
    if repository.startswith("https://github.com/"):
        owner = repository.removeprefix("https://github.com/")
        line += f' · <a href="{COLAB}/{owner}/blob/{BRANCH}/{docname}.ipynb">Open in Colab</a>'
    return f'<p class="notebook-links">{line}</p>'


def is_notebook(app: Sphinx, docname: str) -> bool:
    """Whether a page is a notebook."""
    return docname.startswith(f"{FOLDER}/") and "{code-cell}" in source(app, docname).read_text()


def source(app: Sphinx, docname: str) -> Path:
    """Return the text file of a page."""
    return Path(app.env.doc2path(docname))


def add_links(app: Sphinx, docname: str, content: list[str]) -> None:
    """Add the links to the page of a notebook, under its title."""
    if is_notebook(app, docname):
        before, title, rest = content[0].partition("\n# ")
        heading, _, body = rest.partition("\n")
        line = links(docname, app.config.repository_url)
        content[0] = f"{before}{title}{heading}\n\n{line}\n{body}"


def as_notebook(path: Path, root: Path, repository: str) -> nbformat.NotebookNode:
    """Return a notebook that is kept as text; its first cell installs what it needs.

    Args:
        path: the text file.
        root: the folder of the repository.
        repository: address of the repository; empty if it is not known.
    """
    notebook = read_myst_markdown_notebook(path.read_text(encoding="utf-8"))
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = rewrite(cell.source, path.parent, root, repository, pages="")
    address = f" @ git+{repository}" if repository else ""
    requirement = notebook.metadata.pop("requirement")
    install = f'%pip install --quiet "{requirement}{address}"'
    notebook.cells.insert(0, nbformat.v4.new_code_cell(install))
    return notebook


def write_notebooks(app: Sphinx, exception: Exception | None) -> None:
    """Write the notebooks as Jupyter's files."""
    if exception is not None or app.builder.format != "html":
        return
    for docname in sorted(app.env.found_docs):
        if is_notebook(app, docname):
            repository = app.config.repository_url
            notebook = as_notebook(source(app, docname), app.srcdir.parent, repository)
            path = Path(app.outdir) / f"{docname}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, path)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the hooks."""
    app.connect("source-read", add_links)
    app.connect("build-finished", write_notebooks)
    return {"parallel_read_safe": True}
