"""Docstrings are plain text: Google's sections, code between backticks, doctests, and nothing else that is markup.

So |q|, c* and r_ stand for themselves, and what is indented below a paragraph (an equation, a list of terms) stays as
it is typed.
"""

import re
from typing import Any

from sphinx.application import Sphinx

_SECTION = re.compile(r"(Args|Attributes|Example|Examples|Raises|Returns|Warns|Yields|Note):$")
_MARKUP = re.compile(r"(?<!\\)([|*])|(?<=\w)(_)(?!\w)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Register with autodoc, ahead of napoleon, and with sphinx-click."""
    app.connect("autodoc-process-docstring", _docstring, priority=100)
    for event in ("description", "options", "arguments"):
        app.connect(f"sphinx-click-process-{event}", _help)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def escaped(text: str) -> str:
    """Return text in which only what stands between backticks is markup."""
    parts = re.split(r"(`[^`]*`)", text)
    parts[::2] = [_MARKUP.sub(lambda found: "\\" + found[0], part) for part in parts[::2]]
    return "".join(parts)


def _docstring(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    found: list[str] = []
    section = example = verbatim = False
    for line in lines:
        indented = line.startswith(" ")
        if line and not indented:
            section = bool(_SECTION.match(line))
            verbatim = False
        elif indented and not section and not verbatim and found and not found[-1].strip():
            found += ["::", ""]
            verbatim = True
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        found.append(line if verbatim or example else escaped(line))
    lines[:] = found


def _help(app: Sphinx, ctx: Any, lines: list[str]) -> None:
    lines[:] = [line if line.lstrip().startswith((".. ", ":")) else escaped(line) for line in lines]
