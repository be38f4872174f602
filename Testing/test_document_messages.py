"""The messages that the documents quote are those of the code."""

from __future__ import annotations

import ast
import re

import pytest

from helpers.places import ROOT

DOCS = ROOT / "docs"


def literals(path):
    """The literal text of every string of a file, with a mark where something is put in."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"\{\w*\}", "\0", node.value)


@pytest.fixture(scope="module")
def messages():
    sources = [*(ROOT / "LiverMRISegLib").rglob("*.py"), *(ROOT / "LiverMRISeg").rglob("*.py")]
    return "\n".join(text for path in sources for text in literals(path))


@pytest.mark.parametrize("page", ["how_to/troubleshooting.md", "reference/flags.md"])
def test_quoted_messages_are_those_of_the_code(page, messages):
    quoted = re.findall(r"^(?:#+ |\| )`([^`]+)`", (DOCS / page).read_text(), re.MULTILINE)
    assert len(quoted) >= 5
    strange = [text for text in quoted for part in re.split(r"\s*\.\.\.\s*|\\\|", text) if part not in messages]
    assert strange == []
