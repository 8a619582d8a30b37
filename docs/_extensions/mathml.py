"""Equations as MathML, which browsers show by themselves: neither building nor reading needs a network."""

import re
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

# docutils puts the index of a letter with an accent below it, as if it were an operator.
_ACCENT = re.compile(r'<munderover>\s*(<mi>\w</mi>)(.*?)(<mo stretchy="false">.</mo>)\s*</munderover>', re.DOTALL)


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the renderer of equations with Sphinx."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(_mathml(node))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math">{_mathml(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def _mathml(node: nodes.math | nodes.math_block, as_block: bool = False) -> str:
    try:
        text = latex2mathml.tex2mathml(node.astext(), as_block=as_block)
    except MathError as error:
        raise ExtensionError(f"{node.source}:{node.line}: {node.astext()!r}: {error}") from None
    return _ACCENT.sub(r'<msub><mover accent="true">\1\3</mover>\2</msub>', text)
