"""Configuration of the documentation site; `make docs` builds it.

Sphinx with MyST reads the guides as they are in the repository. Furo is the theme since it is
maintained, needs no script from elsewhere, and fits phones.
"""

import os
import sys
import tomllib
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path.insert(0, str(DOCS / "_ext"))
os.environ.setdefault("KERAS_BACKEND", "torch")  # compiles nothing, for the notebooks

from cspdarknet import __version__  # noqa: E402

PROJECT = tomllib.loads((DOCS.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = "cspdarknet"
author = "the authors of cspdarknet"
copyright = author
release = version = __version__
html_title = f"cspdarknet {version}"

extensions = [
    *("myst_nb", "sphinx.ext.autodoc", "sphinx.ext.autosummary", "sphinx.ext.napoleon"),
    *("public_api", "command_line", "model_table", "repository_links", "notebook_files"),
]
exclude_patterns = ["_build", "_ext"]
nitpicky = True
INTERNAL = (  # types in signatures that users never name
    *("_.*", "AnyDataset", "AnyImage", "AnyRecipe", "Augmentation", "Checkpoint", "CopyFolder"),
    *("DatasetImage", "DiskCache", "ImageCache", "InspectedDataset", "OutputFolder", "Server"),
)
nitpick_ignore_regex = [
    # Types of other libraries, whose inventories would have to be downloaded.
    ("py:.*", r"(?!cspdarknet\.).*"),
    ("py:.*", rf"cspdarknet\.(.*\.)?({'|'.join(INTERNAL)})"),
]
# Empty until a maintainer names the repository: links to its files are then plain text.
repository_url = PROJECT.get("urls", {}).get("Repository", "").rstrip("/").removesuffix(".git")

myst_enable_extensions = ["attrs_block"]
myst_heading_anchors = 4

# Notebooks run when the site is built; those that have not changed are not run again.
nb_execution_mode = "cache"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True

default_role = "code-or-link"  # of public_api: single backticks, as in Markdown
autosummary_generate = False
napoleon_use_ivar = True
autoclass_content = "both"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_member_order = "bysource"
autodoc_default_options = {
    "members": True,
    # Members of these are documented with the class itself, or by Keras and Python.
    "inherited-members": "CSPDarkNetBackbone, Model, Warning, ValueError, tuple, dict, Enum",
}
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"

smartquotes_action = "D"  # dashes only: quotes are those of code more often than not

html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_logo = "_static/logo.svg"
html_favicon = "_static/logo.svg"
html_copy_source = False
html_show_sphinx = False
html_theme_options = {
    "light_css_variables": {
        "color-brand-primary": "#0f766e",
        "color-brand-content": "#0f766e",
        "color-brand-visited": "#0f766e",
        "color-api-name": "#0f766e",
        "color-api-pre-name": "#0f766e",
    },
    "dark_css_variables": {
        "color-brand-primary": "#5eead4",
        "color-brand-content": "#5eead4",
        "color-brand-visited": "#5eead4",
        "color-api-name": "#5eead4",
        "color-api-pre-name": "#5eead4",
    },
    "source_repository": repository_url,
    "source_branch": "main",
    "source_directory": "docs/",
}
if not repository_url:
    for key in ("source_repository", "source_branch", "source_directory"):
        del html_theme_options[key]
