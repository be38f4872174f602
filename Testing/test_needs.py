"""What is skipped is counted and explained at the end of a run, on one process and on several."""

import os
import subprocess
import sys

import pytest

from helpers import needs
from helpers.places import ROOT

SUITE = """
import pytest
from helpers.needs import real_images

@real_images("absent")
@pytest.mark.parametrize("number", range(3))
def test_real(number):
    raise AssertionError

@pytest.mark.skipif(True, reason="POSIX signals")
def test_signals():
    raise AssertionError

def test_engine():
    pytest.importorskip("openvino_of_another_name")

def test_runs():
    pass
"""
SUMMARY = """
from helpers.needs import lines_on_skipped

def pytest_terminal_summary(terminalreporter):
    for line in lines_on_skipped(terminalreporter.stats.get("skipped", [])):
        terminalreporter.write_line(line)
"""


@pytest.mark.parametrize("options", [[], ["-n", "2"]])
def test_the_summary_tells_how_many_were_skipped_and_why(tmp_path, options):
    (tmp_path / "test_suite.py").write_text(SUITE)
    (tmp_path / "test_whole_file.py").write_text("import pytest\npytest.importorskip('slicer_of_another_name')\n")
    (tmp_path / "conftest.py").write_text(SUMMARY)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'Testing'}{os.pathsep}{ROOT}"}, cwd=tmp_path,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    lines = done.stdout.splitlines()
    reason = "../shared/data/absent" if needs.DATA.is_dir() else "../shared/data"
    assert f"3 tests of real images skipped: {reason} is not here" in lines
    assert "1 test skipped: POSIX signals" in lines
    assert any(line.startswith("1 test of openvino_of_another_name skipped: No module named") for line in lines)
    assert any(line.startswith("1 file of slicer_of_another_name skipped: No module named") for line in lines)


@pytest.mark.parametrize(
    ("module", "kind"), [("openvino", "OpenVINO"), ("slicer", "slicer-core"), ("PySide6.QtWidgets", "the panel in Qt")]
)
def test_what_is_not_installed_has_the_name_that_people_know(module, kind):
    report = pytest.TestReport(
        "a",
        ("a", 1, "a"),
        {},
        "skipped",
        ("a.py", 1, f"Skipped: could not import '{module}': libEGL.so.1: missing"),
        "call",
    )
    assert needs.lines_on_skipped([report]) == [f"1 test of {kind} skipped: libEGL.so.1: missing"]
