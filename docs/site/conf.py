"""The docs site: `make docs` builds it with Sphinx from the plain Markdown files of docs/."""

import re
from pathlib import Path
from typing import Any

import yaml
from sphinx.application import Sphinx

import mandseg

HERE = Path(__file__).parent
DOCS = HERE.parent

project = "mandseg"
author = "The mandseg authors"
copyright = "The mandseg authors, Apache-2.0"
release = version = mandseg.__version__

extensions = ["myst_parser", "sphinx.ext.apidoc", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "index"
exclude_patterns = ["site"]
html_theme = "furo"
html_title = "mandseg"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False

myst_heading_anchors = 4
myst_links_external_new_tab = True
highlight_language = "text"
pygments_style = "default"

apidoc_modules = [
    {
        "path": "../../src/mandseg",
        "destination": "reference",
        "separate_modules": False,
        "module_first": True,
        "implicit_namespaces": False,
        "max_depth": 1,
    }
]
autodoc_typehints = "signature"
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
default_role = "code"
suppress_warnings = [
    "toc.not_included",  # methods.md of a result is read from its page; a test wants all other pages in the navigation
    "ref.python",  # a word of a docstring is the name of several attributes
]


def navigation(existing: set[str]) -> str:
    """The table of contents of navigation.yaml as Markdown; a page that does not exist (yet) is left out."""
    blocks = []
    for caption, pages in yaml.safe_load((HERE / "navigation.yaml").read_text(encoding="utf-8")).items():
        lines = [page for page in pages if page in existing]
        blocks.append("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", "", *lines, "```"]))
    return "\n\n".join(blocks)


def add_navigation(app: Sphinx, page: str, source: list[str]) -> None:
    """The pages themselves stay plain Markdown: only the first page gets the table of contents, while it is built."""
    if page == root_doc:
        source[0] += "\n\n" + navigation(app.env.found_docs)


def keep_signs(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain text: a * or | in them is a sign, outside of `code`."""
    for n, line in enumerate(lines):
        parts = re.split(r"(`[^`]+`)", line)
        lines[n] = "".join(p if p.startswith("`") else re.sub(r"[*|]", r"\\\g<0>", p) for p in parts)


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("autodoc-process-docstring", keep_signs, priority=400)  # before napoleon's at 500
    app.connect("source-read", add_navigation)
