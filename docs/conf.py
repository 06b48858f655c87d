"""Settings of Sphinx. Nothing is loaded from the network, neither here nor by a reader's browser."""

import importlib.metadata
import re
import shutil
from pathlib import Path

from docutils import nodes
from latex2mathml.converter import convert

HERE = Path(__file__).parent
shutil.copytree(HERE.parent / "notebooks", HERE / "notebooks", dirs_exist_ok=True)  # the pages of this folder alone

project, author = "ddpg_jax", "the authors of ddpg_jax"
release = importlib.metadata.version("ddpg_jax")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build", "**.ipynb_checkpoints"]

html_theme, html_title = "furo", "ddpg_jax"
html_static_path = ["_static"]
html_css_files = ["own.css"]
html_theme_options = {"navigation_with_keys": True}

default_role = "code"  # of `names` in docstrings
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence", "deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # they are stored with their outputs, and tests run them
nb_merge_streams = True

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring, napoleon_use_rtype = True, False
suppress_warnings = ["mystnb.mime_priority"]


def _math(self, node):
    """Writes a formula as MathML, which browsers draw by themselves."""
    block = isinstance(node, nodes.math_block)
    self.body.append(convert(node.astext(), display="block" if block else "inline"))
    raise nodes.SkipNode


def _escape_stars(app, what, name, obj, options, lines):
    """Keeps the star of shapes such as [B, *O] and the bars of |x|, which have a meaning in reStructuredText."""
    lines[:] = [re.sub(r"(?<![`*\\w])([*|])(?=\w)", r"\\\1", line) for line in lines]


# Links of documents that are also read beside the code -> the pages here that hold them.
PAGES = {
    "](../CONTRIBUTING.md)": "](your_algorithm.md)",
    "](../benchmarks/README.md)": "](how_measured.md)",
    "](../benchmarks/peers/README.md)": "](peers.md)",
    "](../benchmarks/thousand_gpus.md)": "](thousand_gpus.md)",
    "](docs/": "](",
    "](peers/README.md)": "](peers.md)",
    "](thousand_gpus.md)": "](thousand_gpus.md)",
    "](README.md)": "](how_measured.md)",
    "](../notebooks/": "](notebooks/",
    "](../docs/": "](../",  # of a notebook
}


def _link(text):
    for link, page in PAGES.items():
        text = text.replace(link, page)
    return text


def _link_source(app, name, source):
    source[0] = _link(source[0])
    if name.startswith("notebooks/"):
        source[0] = source[0].replace("](your_algorithm.md)", "](../your_algorithm.md)")


def _link_include(app, path, parent, source):
    source[0] = _link(source[0])


def setup(app):
    app.connect("source-read", _link_source)
    app.connect("include-read", _link_include)
    app.connect("autodoc-process-docstring", _escape_stars, priority=1000)  # after napoleon
    app.add_node(nodes.math, override=True, html=(_math, None))
    app.add_node(nodes.math_block, override=True, html=(_math, None))
