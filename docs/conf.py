"""How Sphinx builds these pages. `make docs` treats every warning as an error."""

from importlib.metadata import version as version_of

project = "Seaway"
author = "Seaway contributors"
copyright = "Seaway contributors"
version = release = version_of("seaway")

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
nitpicky = True

# Headings get anchors down to this level, so that pages can point into each other.
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "deflist"]

html_theme = "furo"
html_title = f"Seaway {release}"
html_static_path: list[str] = []
