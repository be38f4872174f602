"""The commands that the documents show are known to the program, with every option and every required one."""

from __future__ import annotations

import ast
import re
import runpy
import shlex

import pytest

from helpers.places import ROOT
from LiverMRISegLib.cli import build_parser
from LiverMRISegLib.training.configuration import config_from_arguments

PAGES = [
    ROOT / "README.md",
    *sorted(path for path in (ROOT / "docs").rglob("*.md") if "studies" not in path.parts),
    *sorted((ROOT / "Resources" / "models").glob("*.md")),
]
_BLOCK = re.compile(r"^ *```sh\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
# A name between backquotes is no call; one that says where to write is.
_INLINE = re.compile(r"`(livermriseg [^`\n]+ -o [^`\n]+)`")
_REST = re.compile(r"\s(#|\|\||>).*")


def commands(page):
    """The words of every command on a page."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line.strip() for block in _BLOCK.findall(text) for line in block.splitlines()] + _INLINE.findall(text)
    return [shlex.split(_REST.sub("", line)) for line in lines if line.startswith(("livermriseg ", "python scripts/"))]


def config_of(script):
    """The class of a script's config, which it gives to `run_training` or `run_script`; None if it has none."""
    calls = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.Call)]
    runs = [call for call in calls if getattr(call.func, "id", "") in ("run_training", "run_script")]
    named = [call.args[0].id for call in runs if isinstance(call.args[0], ast.Name)]
    return runpy.run_path(str(script))[named[0]] if named else None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_commands_are_known_to_the_program(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in commands(page):
        if words[0] == "livermriseg":
            if not {"--version", "--help"} & set(words):  # these end the program
                build_parser().parse_args(words[1:])
        elif (config := config_of(ROOT / words[1])) is not None and _has_its_file(words):
            config_from_arguments(config, words[2:])


def _has_its_file(words):
    """Whether its config is one of ours, and not one that the page makes."""
    return "--config" in words and (ROOT / words[words.index("--config") + 1]).is_file()


def test_there_are_commands_to_be_known():
    assert sum(len(commands(page)) for page in PAGES) > 60
