"""Docstrings as autodoc wants them: ours have single backticks and plain asterisks, not reStructuredText."""

from __future__ import annotations

import re
from typing import Any

_CODE = re.compile(r"(``?[^`]+``?)")


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("autodoc-process-docstring", _as_text, priority=400)
    return {"parallel_read_safe": True}


def _as_text(_app: Any, _kind: str, _name: str, _object: Any, _options: Any, lines: list[str]) -> None:
    """Escape outside of code what reStructuredText would take for markup."""
    for number, line in enumerate(lines):
        parts = _CODE.split(line)
        parts[::2] = [re.sub(r"([*|]|(?<=\w)_(?!\w))", r"\\\1", part) for part in parts[::2]]
        lines[number] = "".join(parts)
