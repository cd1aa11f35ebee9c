"""Settings of the site's builder, Sphinx: the pages of the repository as they are, and the API out of its docstrings.

`python -m tools.site OUT` builds it. The source folder is the repository's root, so that links between pages, results
and pictures hold in the repository and on the site alike.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

import rtface  # noqa: E402

project = "rtface"
author = "The rtface developers"
release = version = rtface.__version__
language = "en"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/README"
include_patterns = ["*.md", "docs/*.md", "docs/**/*.md", "bench/README.md", "engines/README.md"]
exclude_patterns = ["docs/reports/README.md", "docs/examples"]
myst_heading_anchors = 4

html_theme = "furo"
html_title = f"rtface {release}"
html_static_path: list[str] = []
html_show_sphinx = False
html_copy_source = False
html_additional_pages = {"index": "start.html"}
templates_path = ["templates"]
html_theme_options = {
    "footer_icons": [],
}

html_sidebars = {
    "**": [
        "sidebar/scroll-start.html",
        "sidebar/brand.html",
        "sidebar/search.html",
        "sidebar/navigation.html",
        "sidebar/version.html",
        "sidebar/scroll-end.html",
    ]
}

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = False
napoleon_use_ivar = True
default_role = "code"
nitpicky = False

CONTENTS = {
    "Start": ["../README"],
    "A rig": ["screen", "rigs", "cameras", "platforms", "learning", "gpu", "../engines/README"],
    "Light": ["closed-loop", "rules", "gate", "outputs"],
    "Neurons": ["encoder", "study", "analyse", "reports/*/*"],
    "Data": ["formats", "sessions", "wire", "bridges", "json", "clients/*"],
    "Python": ["api/*"],
    "rtface itself": [
        "../bench/README",
        "glossary",
        "architecture",
        "../CONTRIBUTING",
        "decisions/README",
        "../CHANGELOG",
        "../SECURITY",
    ],
}
"""Every page in its group, in the order of the menu. A page that is in none is a warning of the builder, so an error."""

FOLDER = re.compile(r"\]\(([^):]*/)\)")


def _menu(caption: str, pages: list[str]) -> str:
    return "\n".join(
        ["", "```{toctree}", f":caption: {caption}", ":hidden:", ":glob:", "", *pages, "```", ""]
    )


def _read(_app: Any, name: str, source: list[str]) -> None:
    """Give the start page its menu; lead links to a folder to its page, where the repository's host lists files."""
    here = (REPOSITORY / name).parent

    def its_page(found: re.Match[str]) -> str:
        return f"]({found[1]}README.md)" if (here / found[1] / "README.md").is_file() else found[0]

    source[0] = FOLDER.sub(its_page, source[0])
    if name == root_doc:
        source[0] += "".join(_menu(caption, pages) for caption, pages in CONTENTS.items())
    if name == "docs/decisions/README":
        source[0] += _menu("Decisions", ["[0-9]*"]).replace(":hidden:\n", ":maxdepth: 1\n")


def setup(app: Any) -> None:
    """Register what is done to pages as they are read."""
    app.connect("source-read", _read)
