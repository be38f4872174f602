"""The project's frame: what pyproject, constraints and README promise is there."""

import re
import subprocess
import sys
import zipfile

import pytest
from packaging.requirements import Requirement

from helpers.places import ROOT

tomllib = pytest.importorskip("tomllib", reason="pyproject.toml is read by Python 3.11 and newer")
LINK = re.compile(r"\]\(([^)#:]+)\)")


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def tracked():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file()]


def pins():
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {r.name.lower(): r for r in map(Requirement, (x for x in lines if x.strip() and not x.startswith("#")))}


def test_every_direct_dependency_is_pinned(project):
    pinned = pins()
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    for requirement in (Requirement(text) for texts in lists for text in texts):
        if requirement.name == project["name"]:
            continue
        assert requirement.name.lower() in pinned, f"constraints.txt does not pin {requirement.name}"
        (pin,) = pinned[requirement.name.lower()].specifier
        assert pin.operator == "=="
        assert requirement.specifier.contains(pin.version)


def test_the_extras_that_people_are_told_of(project):
    extras = project["optional-dependencies"]
    assert {"train", "cpu", "dicom", "docs", "slicer-test", "dev"} <= set(extras)
    for name in ("cpu", "dicom", "report"):
        assert not any("torch" in text for text in (*project["dependencies"], *extras[name])), name


def test_readme_leads_somewhere():
    text = (ROOT / "README.md").read_text()
    links = LINK.findall(text)
    assert len(links) >= 4
    assert [link for link in links if not (ROOT / link).exists()] == []
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"make ([a-z]+)", text)) & set(targets) >= {"demo", "test", "setup", "docs"}


def test_no_tracked_file_names_a_place_of_one_computer():
    forbidden = re.compile("|".join(["/" + "work/", "/" + "root/", "/home/" + "[a-z]"]))
    found = []
    for path in tracked():
        if path.suffix in (".png", ".safetensors"):
            continue
        if forbidden.search(path.read_text(encoding="utf-8", errors="ignore")):
            found.append(path.relative_to(ROOT).as_posix())
    assert found == []


def test_what_ci_runs_is_executable_and_what_make_has():
    script = ROOT / ".ci/run"
    assert script.stat().st_mode & 0o111
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"^(?:\w+=\S+ )*make ([a-z]+)", script.read_text(), re.MULTILINE)) == {
        "setup", "lint", "docs", "test",
    } & set(targets)  # fmt: skip


def test_the_wheel_carries_resources_and_no_pictures(tmp_path):
    code = (
        "import os, sys; os.chdir(sys.argv[1]); from setuptools import build_meta; build_meta.build_wheel(sys.argv[2])"
    )
    source = tmp_path / "source"
    for path in tracked():
        target = source / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    done = subprocess.run(
        [sys.executable, "-c", code, str(source), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert "LiverMRISegLib/Resources/models/catalog.json" in names
    assert "LiverMRISegLib/cli.py" in names
    assert not any("Screenshots" in name or name.startswith("Testing") for name in names)
