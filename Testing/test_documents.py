"""What the documents name exists: functions beside equations, scripts of studies and benchmarks; cards are short."""

from __future__ import annotations

import ast
import re
import runpy
from pathlib import Path

import pytest

from helpers.places import ROOT

DOCS = ROOT / "docs"
CONCEPTS = sorted((DOCS / "concepts").glob("*.md"))
STUDIES = sorted(path for path in (DOCS / "studies").glob("*.md") if path.stem != "index")
CARDS = sorted((ROOT / "Resources" / "models").glob("*.md"))
LONGEST_CARD = 120
METHODS = (
    "supervised", "cross_pseudo_supervision", "bidirectional_copy_paste", "intermediate_domains", "mean_teacher",
    "dual_task", "one_label", "organ_attention", "anatomy_space", "domain_matching", "pseudo_labels",
    "domain_randomisation",
)  # fmt: skip
# Commands that are run in a checkout of an earlier commit.
_EARLIER = re.compile(r"^```\ngit worktree add .*?^```$", re.MULTILINE | re.DOTALL)
# Used by the studies, no studies themselves.
_SHARED = {"study", "one_label_rounds", "cross_pseudo_arms"}


def is_there(dotted: str) -> bool:
    """Whether a dotted name is a module of the library, or a class, function or constant in one, read from sources."""
    parts = dotted.split(".")
    for length in range(len(parts), 0, -1):
        base = ROOT.joinpath(*parts[:length])
        source = next((p for p in (base.with_suffix(".py"), base / "__init__.py") if p.is_file()), None)
        if source is not None:
            return not parts[length:] or parts[length] in names_of(source)
    return False


def names_of(source: Path) -> set[str]:
    """What a module defines or imports at its top level."""
    found: set[str] = set()
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
    return found


def test_the_reader_of_names_knows_what_is_not_there():
    assert is_there("LiverMRISegLib.anatomy")
    assert is_there("LiverMRISegLib.anatomy.organ_named")
    assert not is_there("LiverMRISegLib.anatomy.no_such_function")
    assert not is_there("LiverMRISegLib.no_such_room.anything")


def test_the_picture_of_the_house_is_that_of_its_imports():
    script = runpy.run_path(str(ROOT / "scripts" / "make_house_picture.py"))
    drawn = (DOCS / "concepts" / "pictures" / "house.svg").read_text(encoding="utf-8")
    rooms_and_arrows = re.compile(r"^<path.*|^<text.*bold.*", re.MULTILINE)
    found, kept = (rooms_and_arrows.findall(text) for text in (script["picture"](), drawn))
    assert found == kept, "run python scripts/make_house_picture.py"


@pytest.mark.parametrize("page", CONCEPTS, ids=lambda page: page.stem)
def test_functions_beside_equations_exist(page):
    named = re.findall(r"`(LiverMRISegLib[\w.]+)`", page.read_text(encoding="utf-8"))
    assert not [name for name in named if not is_there(name)]


@pytest.mark.parametrize("page", METHODS)
def test_a_page_of_a_method_has_equations_papers_figures_and_failures(page):
    text = (DOCS / "concepts" / f"{page}.md").read_text(encoding="utf-8")
    parts = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert "$" in text
    assert any(part.startswith("Against the ") for part in parts)
    assert parts[-2:] == ["Measured", "Known to fail"]


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.stem)
def test_no_table_is_cut_in_two(page):
    """A row after an empty line is shown as text with bars in it; a table begins with a head and a line of dashes."""
    lines = page.read_text(encoding="utf-8").splitlines()
    cut = [
        line
        for before, line, after in zip(["", *lines], lines, [*lines[1:], ""], strict=False)
        if line.startswith("|") and not before.startswith("|") and not re.fullmatch(r"\|[-:| ]+\|", after)
    ]
    assert not cut


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))], ids=lambda page: page.stem)
def test_switches_have_no_value(page):
    """`--keep-heads` or `--no-keep-heads`; the scripts refuse `--keep-heads True`."""
    assert not re.findall(r"--[a-z][\w.-]* (?:true|false)\b", page.read_text(encoding="utf-8"), re.IGNORECASE)


@pytest.mark.parametrize("page", [*CONCEPTS, *STUDIES, DOCS / "benchmarks.md", *CARDS], ids=lambda page: page.stem)
def test_files_that_are_named_exist(page):
    text = _EARLIER.sub("", page.read_text(encoding="utf-8"))
    named = re.findall(r"(?:scripts|Testing|docs)/[\w/]+\.\w+", text)
    named += [f"scripts/train/configs/{name}" for name in re.findall(r"`configs/(\w+\.yaml)`", text)]
    assert not [name for name in named if not (ROOT / name).exists()]


@pytest.mark.parametrize("page", STUDIES, ids=lambda page: page.stem)
def test_a_study_names_its_script(page):
    assert re.search(r"(?:Testing/studies|scripts/train)/\w+\.py", page.read_text(encoding="utf-8"))


def test_every_study_is_quoted_by_a_page():
    text = "".join(page.read_text(encoding="utf-8") for page in STUDIES)
    scripts = {path.stem for path in (ROOT / "Testing" / "studies").glob("*.py")} - _SHARED
    assert not [name for name in scripts if f"Testing/studies/{name}.py" not in text]


def test_every_benchmark_is_on_the_page():
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    run = (ROOT / "Testing" / "benchmarks" / "run.py").read_text(encoding="utf-8")
    named = re.findall(r'^    "(\w+)",$', run, re.MULTILINE)
    assert len(named) >= 8
    assert not [name for name in named if f"`{name}`" not in text]


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_cards_are_short_and_say_all(card):
    text = card.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LONGEST_CARD
    parts = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert parts == [
        "Intended use", "Measured", "Failures and known weaknesses", "Data and terms", "How to reproduce"
    ]  # fmt: skip
