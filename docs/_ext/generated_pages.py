"""Pages whose text is made from the real objects while Sphinx reads them, so that they cannot be out of date.

A line `<!-- generated: NAME -->` in a page is replaced by what the function of that name in `MAKERS` returns.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import command_line
import configurations

MAKERS: dict[str, Callable[[], str]] = {
    "command line": command_line.page,
    "scripts": configurations.scripts_page,
    "import": configurations.import_page,
    "config classes": configurations.classes_page,
    "organs": command_line.organs,
    "label sets": command_line.label_sets,
    "sequences": command_line.sequences,
}
_MARK = re.compile(r"^<!-- generated: ([\w ]+) -->$", re.MULTILINE)


def setup(app: Any) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("source-read", _fill)
    app.connect("env-before-read-docs", _read_again)
    return {"parallel_read_safe": True}


def _fill(_app: Any, _name: str, source: list[str]) -> None:
    source[0] = _MARK.sub(lambda found: MAKERS[found[1]](), source[0])


def _read_again(app: Any, environment: Any, names: list[str]) -> None:
    """The objects may have changed even if the page's own file has not."""
    for name in environment.found_docs - set(names):
        if _MARK.search(environment.doc2path(name).read_text(encoding="utf-8")):
            names.append(name)
