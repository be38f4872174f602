"""The rules of Slicer's ExtensionsIndex: the checkout keeps them, and each is noticed when it is broken."""

import json

import pytest

from extension_rules import RULES, Extension
from helpers.extension import make_extension
from helpers.places import ROOT

SIZE = "size of a clone"  # of a checkout with its environment it says nothing; test_release.py has it
FILES = "file names"


def problems(folder):
    extension = Extension(folder, "LiverMRISeg")
    return [problem for title, rule in RULES.items() if title not in (SIZE, FILES) for problem in rule(extension)]


def test_the_checkout_keeps_the_rules():
    assert problems(ROOT) == []


@pytest.fixture
def extension(tmp_path):
    made = make_extension(tmp_path / "extension")
    assert problems(made) == []
    return made


def replace(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


ENTRY, CMAKE, README = "LiverMRISeg.json", "CMakeLists.txt", "README.md"
BROKEN = {
    "a list on one line": (ENTRY, '[\n    "PyTorch"\n  ]', '["PyTorch"]', "every list item on a line"),
    "not JSON": (ENTRY, "{", "", "no JSON object"),
    "a key of nobody": (ENTRY, '"scm_revision": "main",', '"revision": "main",', "revision is not in the schema"),
    "a tier beyond five": (ENTRY, '"tier": 1', '"tier": 6', "tier is 6, not 1 to 5"),
    "a tier in words": (ENTRY, '"tier": 1', '"tier": "1"', "tier must be of type int"),
    "another schema": (ENTRY, "catalog-entry-schema-v1.0.2.json", "other.txt", "is not the address of a schema"),
    "a category of its own": (ENTRY, '"Segmentation"', '"Liver"', "the category 'Liver' is unknown to the index"),
    "a repository by another name": (ENTRY, "/SlicerLiverMRISeg.git", "/Liver.git", "must be named SlicerLiverMRISeg"),
    "an address for ssh": (ENTRY, "https://github.com/L", "ssh://github.com/L", "must begin with https://"),
    "another project": (CMAKE, "project(LiverMRISeg)", "project(Liver)", "project() does not name LiverMRISeg"),
    "no contributors": (CMAKE, "EXTENSION_CONTRIBUTORS", "EXTENSION_OTHERS", "EXTENSION_CONTRIBUTORS is not set"),
    "a list in the description": (CMAKE, "any sequence.", "any sequence; all.", "must have no ; and no variables"),
    "a variable in an address": (
        CMAKE, "ICONURL \"https://github.com/LiverMRISeg/SlicerLiverMRISeg", "ICONURL \"${EXTENSION_HOMEPAGE}",
        "EXTENSION_ICONURL must have no ; and no variables",
    ),
    "CMake says another category": (CMAKE, 'CATEGORY "Seg', 'CATEGORY "Neg', "EXTENSION_CATEGORY is not what"),
    "CMake says another tier": (CMAKE, "TIER 1", "TIER 3", "EXTENSION_TIER is not what LiverMRISeg.json says, '1'"),
    "a dependency that CMake lacks": (CMAKE, 'DEPENDS "PyTorch"', 'DEPENDS "NA"', "EXTENSION_DEPENDS is not what"),
    "a screenshot's web page": (CMAKE, "/raw/main/Resources/S", "/blob/main/Resources/S", "must be the raw address"),
    "a screenshot that is gone": (CMAKE, "panel_result.png", "panel_other.png", "there is no such file in the release"),
    "an icon of another size": (
        CMAKE, "LiverMRISeg/Resources/Icons/LiverMRISeg.png", "Resources/Screenshots/panel_result.png",
        "the icon must be a PNG of 128 x 128 pixels",
    ),
    "three sentences": (CMAKE, "any sequence. ", "any sequence. It is quick. ", "has 3 sentences"),
    "another title": (README, "# LiverMRISeg\n", "# Liver\n", "does not begin with the extension's name"),
    "no picture": (README, "panel_result.png", "panel_other.png", "shows no picture"),
    "no word on the module": (README, "**LiverMRISeg** segments", "It segments", "says nothing of LiverMRISeg"),
    "no word on patents": (README, "Patents:", "Others:", "does not say whether patents are known"),
    "how to cite": (README, "## Cite", "## Papers", "has no section Cite"),
    "the licence's name": (README, "LICENSE.txt", "COPYING", "does not name LICENSE.txt"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_rule_is_noticed(extension, name):
    file, old, new, said = BROKEN[name]
    replace(extension / file, old, new)
    assert [problem for problem in problems(extension) if said in problem]


def test_line_ends_of_windows_and_a_missing_licence_are_noticed(extension):
    entry = extension / ENTRY
    entry.write_bytes(entry.read_bytes().replace(b"\n", b"\r\n"))
    (extension / "LICENSE.txt").unlink()
    found = problems(extension)
    assert [problem for problem in found if "not as the index's linter writes it" in problem]
    assert "LICENSE.txt: missing" in found


def test_an_entry_that_is_missing_or_no_object_breaks_its_rules(extension):
    for text in ("[]", "[" * 100_000, "\xff"):
        (extension / ENTRY).write_text(text, encoding="latin-1")
        assert "LiverMRISeg.json: missing, or no JSON object" in problems(extension)
    (extension / ENTRY).unlink()
    assert "category is missing" in problems(extension)


def test_file_names_for_windows_and_macos(extension):
    for name in ("Readme.md", "aux.txt", "what?.md", "end."):
        (extension / name).write_text("")
    found = sorted(RULES[FILES](Extension(extension, "LiverMRISeg")))
    assert len(found) == 4
    assert [problem for problem in found if "differs from README.md in case alone" in problem]
    assert sum("Windows has no such file names" in problem for problem in found) == 3


def test_the_limit_counts_all_files_of_a_clone(extension):
    with (extension / "large").open("wb") as file:
        file.truncate(101 * 2**20)
    (said,) = RULES[SIZE](Extension(extension, "LiverMRISeg"))
    assert "a clone takes 101." in said
    assert "release with --restart" in said


def test_other_entries_of_the_index_keep_the_form(extension):
    """As PyTorch's and KonfAI's in the index: no dependencies are an empty list; the ending .git is not needed."""
    entry = json.loads((extension / ENTRY).read_text())
    entry["build_dependencies"], entry["scm_url"] = [], entry["scm_url"].removesuffix(".git")
    (extension / ENTRY).write_text(json.dumps(entry, indent=2) + "\n")
    replace(extension / CMAKE, 'DEPENDS "PyTorch"', 'DEPENDS "NA"')
    assert problems(extension) == []
