"""How Sphinx builds the documentation: `make docs`. Warnings are errors; nothing is fetched."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "docs" / "_ext")]

from LiverMRISegLib.version import __version__  # noqa: E402

project = "LiverMRISeg"
author = "The LiverMRISeg authors"
copyright = author
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "generated_pages",
    "docstrings",
    "mathml",
    "local_links",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_ext"]
language = "en"

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
# `code` in docstrings, as everywhere else.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100

html_math_renderer = "mathml"
html_theme = "furo"
html_title = f"LiverMRISeg {release}"
html_favicon = "../LiverMRISeg/Resources/Icons/LiverMRISeg.png"
html_logo = "../LiverMRISeg/Resources/Icons/LiverMRISeg.png"
html_static_path = ["_static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_sourcelink = False
