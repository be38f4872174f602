"""The messages that the documents quote are those of the code."""

from __future__ import annotations

import ast
import re

import pytest

from helpers.places import ROOT
from LiverMRISegLib import errors

DOCS = ROOT / "docs"


def texts(tree):
    """The literal text of every string in it, with a mark where something is put in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "\0" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield re.sub(r"\{\w*\}", "\0", node.value)


@pytest.fixture(scope="module")
def messages():
    sources = [*(ROOT / "LiverMRISegLib").rglob("*.py"), *(ROOT / "LiverMRISeg").rglob("*.py")]
    return "\n".join(text for path in sources for text in texts(ast.parse(path.read_text())))


def raised_errors():
    """Of every error that the core raises: its exit status and its literal text."""
    for path in (ROOT / "LiverMRISegLib").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.func.id if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) else ""
            status = getattr(getattr(errors, name, None), "exit_status", None)
            if status is not None:
                yield status, "\n".join(text for argument in node.args for text in texts(argument))


def test_messages_stand_under_their_exit_status():
    raised, wrong, known = list(raised_errors()), {}, 0
    page = (DOCS / "how_to/troubleshooting.md").read_text()
    for status, section in re.findall(r"^## .*?\(exit status (\d)\)\n(.*?)(?=^## )", page, re.MULTILINE | re.DOTALL):
        for message, below in re.findall(r"^### `([^`]+)`\n([^#]*)", section, re.MULTILINE):
            parts = [part for part in re.split(r"\s*\.\.\.\s*", message) if part]
            found = {number for number, text in raised if all(part in text for part in parts)}
            said = re.findall(r"exit status (\d)", below) or [status]
            known += bool(found)
            if found and found != {int(said[0])}:
                wrong[message] = found
    assert known > 40
    assert wrong == {}


@pytest.mark.parametrize("page", ["how_to/troubleshooting.md", "reference/flags.md"])
def test_quoted_messages_are_those_of_the_code(page, messages):
    quoted = re.findall(r"^(?:#+ |\| )`([^`]+)`", (DOCS / page).read_text(), re.MULTILINE)
    assert len(quoted) >= 5
    strange = [text for text in quoted for part in re.split(r"\s*\.\.\.\s*|\\\|", text) if part not in messages]
    assert strange == []
