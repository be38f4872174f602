"""The documents' links lead somewhere; README, citation and the picture of the house are as promised."""

from __future__ import annotations

import importlib.util
import re

import pytest
import yaml

from helpers.places import ROOT
from LiverMRISegLib.version import __version__

DOCS = ROOT / "docs"
TOP = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s#]*)(?:#([^)\s]+))?\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def pages():
    return [ROOT / name for name in TOP] + sorted(p for p in DOCS.rglob("*.md") if "_build" not in p.parts)


def anchors(page):
    """The anchors of a page's headings, as GitHub and MyST make them."""
    titles = HEADING.findall(FENCE.sub("", page.read_text()))
    return {re.sub(r"[^\w\- ]", "", title.lower().replace("`", "")).strip().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files_and_headings(page):
    broken = []
    for target, anchor in LINK.findall(FENCE.sub("", page.read_text())):
        path = (page.parent / target).resolve() if target else page
        if not path.exists() or (anchor and path.suffix == ".md" and "generated:" not in path.read_text()
                                 and anchor not in anchors(path)):  # fmt: skip
            broken.append(f"{target}#{anchor}")
    assert broken == []


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 120
    assert max(map(len, lines)) <= 120


def test_the_citation_is_complete_and_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
    assert citation["version"] == __version__


def test_the_house_has_the_rooms_that_its_page_draws():
    drawn = (DOCS / "concepts" / "house.md").read_text(encoding="utf-8")
    rooms = {p.name for p in (ROOT / "LiverMRISegLib").iterdir() if p.is_dir() and (p / "__init__.py").exists()}
    assert {room for room in rooms if f"{room}/" not in drawn} == set()
    assert {room for room in re.findall(r"^\| \d+ \| `(\w+)/` \|", drawn, re.MULTILINE) if room not in rooms} == set()


def test_a_link_in_the_built_pages_that_leads_nowhere_is_found(tmp_path):
    pytest.importorskip("sphinx")
    specification = importlib.util.spec_from_file_location("local_links", DOCS / "_ext" / "local_links.py")
    local_links = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(local_links)
    (tmp_path / "a.html").write_text('<a href="b.html#here">1</a><a href="b.html#there">2</a><img src="no.png">')
    (tmp_path / "b.html").write_text('<p id="here"><a href="https://elsewhere.org/x">3</a><a href="a.html">4</a></p>')
    assert local_links.broken_links(tmp_path) == [
        "a.html: the link b.html#there leads to no anchor",
        "a.html: the link no.png leads to no file",
    ]
