"""The directive `study-keys`: a table of keys for each section of a study file."""

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from study_table import markdown


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the directive."""
    app.add_directive("study-keys", StudyKeys)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class StudyKeys(SphinxDirective):
    """All tables."""

    def run(self) -> list[nodes.Node]:
        """Return the tables, each below its heading."""
        return self.parse_text_to_nodes(markdown(), allow_section_headings=True)
