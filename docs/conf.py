"""Sphinx builds the documentation from Markdown (MyST), docstrings, the command line and the schema of studies."""

import sys
from pathlib import Path

DOCS = Path(__file__).parent
sys.path[:0] = [str(DOCS / "_extensions"), str(DOCS.parent)]

import simsc  # noqa: E402

sys.path.append(str(DOCS / "contributing"))
from layers import PICTURE, draw  # noqa: E402

PICTURE.write_text(draw(), encoding="utf-8")  # of the imports as they are, so that it cannot go stale

project = "simsc"
author = "The simsc developers"
copyright = "The simsc developers, GPL-2.0-or-later"
version = release = simsc.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "mathml",
    "plain_docstrings",
]
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]

html_theme = "furo"
html_title = f"simsc {version}"
html_static_path = ["_static"]
html_css_files = ["simsc.css"]
html_math_renderer = "mathml"
html_copy_source = False

myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3
suppress_warnings = ["myst.header"]  # pages that include the README of a parameter set begin as it does

default_role = "py:obj"  # `name` in docstrings: a link where there is such a name, else code
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "mixed"
autodoc_default_options = {"members": True}
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_attr_annotations = False
autosummary_generate = True
autosummary_ignore_module_all = False
add_module_names = False


def setup(app):  # type: ignore[no-untyped-def]
    """Let links to the files of force fields lead to their pages here; leave out what other libraries document."""
    app.connect("source-read", _to_pages_of_force_fields)
    app.connect("autodoc-skip-member", _is_of_matplotlib)


def _is_of_matplotlib(app, what, name, member, skip, options):  # type: ignore[no-untyped-def]
    """Tell whether a member comes from Matplotlib, which gives each subclass a `set` with roles of its own pages."""
    return True if (getattr(member, "__module__", "") or "").startswith("matplotlib") else None


def _to_pages_of_force_fields(app, name, source):  # type: ignore[no-untyped-def]
    source[0] = source[0].replace("](../../forcefields/", "](../reference/forcefields/")
