"""The repository that is published: one commit a release, small, checked; nothing changes where something is wrong."""

import os
import re
import shlex
import shutil

import pytest

import release
from helpers.extension import CHANGES, commit, git, make_extension
from helpers.places import ROOT
from LiverMRISegLib.io import atomic_folder

CHECK = """
import os, subprocess, sys
import requests

name = sys.argv[1]
subprocess.run(["git", "clone", "-q", "https://github.com/LiverMRISeg/SlicerLiverMRISeg.git", "cloned"], check=True)
assert requests.get("https://api.github.com/repos/LiverMRISeg/SlicerLiverMRISeg/topics").json()["names"]
schema = requests.get("https://raw.githubusercontent.com/Slicer/Slicer/main/Schemas/entry-v1.0.2.json", timeout=30)
icon = "https://github.com/LiverMRISeg/SlicerLiverMRISeg/raw/main/LiverMRISeg/Resources/Icons/LiverMRISeg.png"
found = requests.get(icon).headers["Content-Type"]
print("- :white_check_mark: schema", schema.json()["kind"], found, os.path.exists("cloned/CMakeLists.txt"), name)
try:
    requests.get(icon.replace("LiverMRISeg.png", "other.png"))
except requests.RequestException as error:
    print("- :x: Check pictures failed:", error)
    sys.exit(1)
"""


@pytest.fixture(autouse=True)
def identity(monkeypatch, tmp_path):
    """Git knows who releases, and nothing else of this computer."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    (tmp_path / "gitconfig").write_text("[user]\nname = Jane Roe\nemail = jane@roe.org\n")


@pytest.fixture
def source(tmp_path):
    """A checkout with two commits; the first has a file that is gone."""
    made = make_extension(tmp_path / "source")
    (made / "secret.txt").write_text("to be forgotten")
    commit(made)
    (made / "secret.txt").unlink()
    commit(made)
    return made


def run(source, *arguments):
    return release.main([str(argument) for argument in arguments], source)


def raise_version(source, version):
    (source / "LiverMRISegLib" / "version.py").write_text(f'__version__ = "{version}"\n')
    (source / "CITATION.cff").write_text(f"version: {version}\n")
    (source / "CHANGELOG.md").write_text(
        CHANGES.replace("## 0.1.0", f"## {version}, 2026-03-01\n\n- More.\n\n## 0.1.0")
    )
    return commit(source)


def test_releases_follow_each_other_without_the_history(source, tmp_path):
    output = tmp_path / "published"
    assert run(source, "0.1.0", "-o", output) == 0
    git(output, "remote", "add", "origin", "https://example.org/x.git")
    raise_version(source, "0.2.0")
    assert run(source, "0.2.0", "-o", output) == 0
    assert git(output, "log", "--format=%s by %an", "main").splitlines() == [
        "LiverMRISeg 0.2.0 by Jane Roe", "LiverMRISeg 0.1.0 by Jane Roe"
    ]  # fmt: skip
    assert git(output, "tag").split() == ["v0.1.0", "v0.2.0"]
    assert git(output, "rev-parse", "main^{tree}") == git(source, "rev-parse", "HEAD^{tree}")
    assert git(output, "tag", "-l", "--format=%(contents)", "v0.2.0").startswith(
        "LiverMRISeg 0.2.0\n\n- More.\n\nMade from"
    )
    assert git(output, "status", "--porcelain") == ""
    assert git(output, "remote") == "origin"
    objects = git(output, "cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split()
    assert git(source, "rev-parse", "HEAD~2:secret.txt") not in objects
    assert not (output / ".git" / "objects" / "info" / "alternates").exists()


def test_the_same_files_make_the_same_commit(source, tmp_path, capfd):
    for name in ("a", "b"):
        assert run(source, "0.1.0", "-o", tmp_path / name) == 0
    assert git(tmp_path / "a", "rev-parse", "main") == git(tmp_path / "b", "rev-parse", "main")
    assert run(source, "0.1.0", "-o", tmp_path / "a") == 0
    assert git(tmp_path / "a", "rev-list", "--count", "main") == "1"


def test_a_trial_keeps_nothing_and_needs_no_name(source, tmp_path, caplog):
    (tmp_path / "gitconfig").write_text("[user]\nuseConfigOnly = true\n")
    (source / "new.txt").write_text("")
    (source / "CHANGELOG.md").write_text(CHANGES.replace("2026-02-01", "not yet released"))
    git(source, "add", "CHANGELOG.md")
    git(source, "commit", "-qm", "not yet")
    before = sorted(tmp_path.iterdir())
    with caplog.at_level("INFO"):
        assert run(source) == 0
    assert "changes without a commit are not in the trial: new.txt" in caplog.text
    assert "the trial of LiverMRISeg 0.1.0 passed; nothing was kept" in caplog.text
    assert sorted(tmp_path.iterdir()) == before


def write(path, text):
    path.write_text(text)


REFUSED = {
    "changes without a commit": (lambda s: write(s / "new.txt", ""), "changes without a commit (new.txt, 1 in all)"),
    "another version": (lambda s: raise_version(s, "0.3.0"), "version 0.1.0: LiverMRISegLib/version.py says 0.3.0"),
    "cited otherwise": (
        lambda s: (write(s / "CITATION.cff", "version: 0.0.9\n"), commit(s)),
        "CITATION.cff: says version 0.0.9; write 0.1.0",
    ),
    "no entry": (
        lambda s: (write(s / "CHANGELOG.md", "# Changelog\n"), commit(s)), "CHANGELOG.md: names no version"
    ),
    "not yet released": (
        lambda s: (write(s / "CHANGELOG.md", CHANGES.replace("2026-02-01", "not yet released")), commit(s)),
        "CHANGELOG.md: no entry of 0.1.0 with its date",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_an_unready_checkout_is_refused(source, tmp_path, caplog, name):
    change, said = REFUSED[name]
    change(source)
    assert run(source, "0.1.0", "-o", tmp_path / "published") == 2
    assert said in caplog.text
    assert not (tmp_path / "published").exists()


def test_a_version_without_a_folder_is_refused(source, caplog):
    assert run(source, "0.1.0") == 2
    assert "give both a version and -o FOLDER for a release" in caplog.text


def test_a_broken_rule_leaves_the_published_history_as_it_was(source, tmp_path, caplog):
    output = tmp_path / "published"
    assert run(source, "0.1.0", "-o", output) == 0
    before = git(output, "rev-parse", "main", "v0.1.0")
    (source / "LICENSE.txt").unlink()
    raise_version(source, "0.2.0")
    assert run(source, "0.2.0", "-o", output) == 3
    assert "the index's rules are broken: LICENSE.txt: missing" in caplog.text
    assert git(output, "rev-parse", "main", "v0.1.0") == before
    assert git(output, "tag") == "v0.1.0"
    assert (output / "LICENSE.txt").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gitconfig", "published", "source"]


def test_a_kill_leaves_the_published_history_as_it_was(source, tmp_path, monkeypatch):
    """Before the new folder takes the old one's place; `atomic_folder` has its own tests with SIGKILL."""
    output = tmp_path / "published"
    assert run(source, "0.1.0", "-o", output) == 0
    raise_version(source, "0.2.0")
    with monkeypatch.context() as patch:
        patch.setattr(atomic_folder, "_put_in_place", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            run(source, "0.2.0", "-o", output)
    assert git(output, "tag") == "v0.1.0"
    assert run(source, "0.2.0", "-o", output) == 0
    assert git(output, "tag").split() == ["v0.1.0", "v0.2.0"]


def test_other_files_under_a_released_version_and_older_versions_are_refused(source, tmp_path, caplog):
    output = tmp_path / "published"
    raise_version(source, "0.2.0")
    assert run(source, "0.2.0", "-o", output) == 0
    (source / "more.txt").write_text("")
    commit(source)
    assert run(source, "0.2.0", "-o", output) == 2
    assert "version 0.2.0 was released with other files; raise the version" in caplog.text
    raise_version(source, "0.1.9")
    assert run(source, "0.1.9", "-o", output) == 2
    assert "version 0.1.9: 0.2.0 was released before; give a newer version" in caplog.text


def test_a_folder_of_something_else_is_refused(source, tmp_path, caplog):
    output = tmp_path / "published"
    output.mkdir()
    (output / "thesis.txt").write_text("years of work")
    assert run(source, "0.1.0", "-o", output) == 2
    assert "is not empty and not a repository" in caplog.text
    commit(output)
    assert run(source, "0.1.0", "-o", output) == 2
    assert "is not a release; give a folder that holds releases only" in caplog.text
    (output / "notes.txt").write_text("")
    assert run(source, "0.1.0", "-o", output) == 2
    assert "notes.txt is in no release; move it away first" in caplog.text
    assert (output / "thesis.txt").read_text() == "years of work"


def test_restart_drops_what_earlier_releases_weigh(source, tmp_path, caplog):
    """Also from the server, by the commands that are printed; the next release follows as always."""
    output, server = tmp_path / "published", tmp_path / "server.git"
    caplog.set_level("INFO")
    (source / "weights").write_bytes(os.urandom(2**20))
    commit(source)
    assert run(source, "0.1.0", "-o", output) == 0
    git(tmp_path, "init", "-q", "--bare", str(server))
    git(output, "remote", "add", "origin", str(server))
    push(caplog)
    weights = git(source, "rev-parse", "HEAD:weights")
    (source / "weights").unlink()
    raise_version(source, "0.2.0")
    assert run(source, "0.2.0", "-o", output, "--restart") == 0
    assert git(output, "tag") == "v0.2.0"
    assert git(output, "rev-list", "--count", "main") == "1"
    push(caplog)
    assert git(server, "for-each-ref", "--format=%(refname)").split() == ["refs/heads/main", "refs/tags/v0.2.0"]
    git(tmp_path, "clone", "-q", server.as_uri(), "clone")
    objects = git(tmp_path / "clone", "cat-file", "--batch-all-objects", "--batch-check=%(objectname)").split()
    assert weights not in objects
    raise_version(source, "0.3.0")
    assert run(source, "0.3.0", "-o", output) == 0
    push(caplog)
    assert git(server, "tag").split() == ["v0.2.0", "v0.3.0"]


def push(caplog):
    """Run the command that the last release printed."""
    command = re.findall(r"publish it with: git (-C .*)", caplog.text)[-1]
    git(ROOT, *shlex.split(command))


def test_the_indexs_own_script_meets_the_release(source, tmp_path, caplog):
    """A script that asks for what the real one asks for: a clone, topics, schema, pictures."""
    pytest.importorskip("requests")
    index = tmp_path / "index"
    (index / "scripts").mkdir(parents=True)
    (index / "schemas").mkdir()
    (index / "schemas" / "entry-v1.0.2.json").write_text('{"kind": "the index\'s own"}')
    (index / "scripts" / "check_description_files.py").write_text(CHECK)
    with caplog.at_level("INFO"):
        assert run(source, "--extensions-index", index) == 3
    assert "index: ok, schema the index's own image/png True LiverMRISeg.json" in caplog.text
    assert re.search(r"index: Check pictures failed: nothing will be at https://\S+/other\.png", caplog.text)
    assert not (index / "LiverMRISeg.json").exists()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("f'{(' for Python 3.99", "ended early under .*SyntaxError"),
        (None, "is not a checkout of Slicer/ExtensionsIndex"),
    ],
)
def test_an_index_script_that_cannot_run_is_said(source, tmp_path, caplog, script, said):
    pytest.importorskip("requests")
    (tmp_path / "index" / "scripts").mkdir(parents=True)
    if script is not None:
        (tmp_path / "index" / "scripts" / "check_description_files.py").write_text(script)
    assert run(source, "--extensions-index", tmp_path / "index") == 3
    assert re.search(said, caplog.text)


def test_this_checkout_could_be_released(monkeypatch, caplog):
    """Its last commit, with its weights: the clone's size above all."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    assert shutil.which("git") is not None
    with caplog.at_level("INFO"):
        assert release.main([]) == 0, caplog.text
