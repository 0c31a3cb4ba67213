"""How the documentation is built: `make docs`, which makes every warning an error."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
# the tutorial's cells type `glm2x`: the one of this environment
os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"  # and its kernel
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from glm2x import __version__

project = "glm2x"
author = "the glm2x authors"
copyright = f"2026, {author}"
version = release = __version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_design",
    "cyclopts.ext.sphinx",
]
templates_path: list[str] = []
exclude_patterns = ["_build"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_merge_streams = True

# axes in the shapes of docstrings, such as genes, are no references
suppress_warnings = ["ref.python"]

napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
autodoc_default_options = {"exclude-members": "model_config"}  # of pydantic
default_role = "code"

copybutton_prompt_text = r"\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "sphinx_book_theme"
html_title = "glm2x"
html_static_path = ["_static"]
html_css_files = ["glm2x.css"]
html_show_sourcelink = False
html_theme_options = {
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    "home_page_in_toc": False,
    "navbar_persistent": [],
    "article_header_end": ["search-button.html", "theme-switcher.html", "toggle-secondary-sidebar.html"],
}


def without_negatives(app: Sphinx, doctree: nodes.document) -> None:
    """Take off what the extension for commands adds of itself: no flag has a ``--no-...`` here."""
    if app.env.docname == "reference/cli":
        for text in list(doctree.findall(nodes.Text)):
            text.parent.replace(text, nodes.Text(re.sub(r", --(?:no|empty)-[\w-]+", "", text)))


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    app.connect("doctree-read", without_negatives)
