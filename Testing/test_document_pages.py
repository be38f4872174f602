"""The pages that are made from the real objects: every command, every config field with its meaning."""

from __future__ import annotations

import importlib
import re

import pytest

from helpers.places import ROOT

pytest.importorskip("sphinx")


@pytest.fixture
def makers(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs" / "_ext"))
    return importlib.import_module("generated_pages").MAKERS


def test_every_mark_in_the_pages_has_a_maker_and_each_is_used(makers):
    marks = [
        mark
        for page in (ROOT / "docs").rglob("*.md")
        for mark in re.findall(r"^<!-- generated: ([\w ]+) -->$", page.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert sorted(marks) == sorted(makers)


@pytest.mark.parametrize("name", ["scripts", "config classes"])
def test_every_field_of_a_config_says_what_it_means(makers, name):
    rows = [row for row in makers[name]().splitlines() if row.startswith("| `")]
    assert len(rows) > 100
    assert [row for row in rows if not re.split(r"(?<!\\)\|", row)[4].strip()] == []


def test_commands_are_described_with_their_options(makers):
    text = makers["command line"]()
    assert "## livermriseg segment" in text
    assert "`--skip-existing`" in text
    assert "## livermriseg models import nnunet" in text
