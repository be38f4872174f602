"""Equations as MathML, which browsers show by themselves: no script, no network, nothing to install."""

from __future__ import annotations

from typing import Any

from docutils import __version_info__, nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)
# Before 0.22 the second argument said the opposite.
_SAYS_BLOCK = __version_info__ >= (0, 22)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx as the renderer `mathml`."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _inline(writer: Any, node: nodes.math) -> None:
    writer.body.append(_converted(node, as_block=False))
    raise nodes.SkipNode


def _block(writer: Any, node: nodes.math_block) -> None:
    writer.body.append(f'<div class="math">{_converted(node, as_block=True)}</div>')
    raise nodes.SkipNode


def _converted(node: nodes.Element, *, as_block: bool) -> str:
    try:
        return str(tex2mathml(node.astext(), as_block == _SAYS_BLOCK))
    except MathError as error:
        logger.warning("equation '%s': %s", node.astext(), error, location=node)
        return ""
