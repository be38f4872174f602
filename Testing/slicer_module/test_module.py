"""The module as Slicer finds it: it imports nothing foreign, every file is installed, the console's contract holds."""

import json
import os
import re
import shutil
import subprocess
import sys
import unittest
import xml.etree.ElementTree as ElementTree

import pytest

from helpers.places import ROOT

MODULE = ROOT / "LiverMRISeg"
FOREIGN = ("torch", "openvino", "SimpleITK", "safetensors", "tqdm", "matplotlib", "monai", "qt", "ctk")


def tree(folder, base, pattern="*"):
    files = [p for p in (ROOT / folder).rglob(pattern) if p.is_file() and "__pycache__" not in p.parts]
    return {p.relative_to(ROOT / base).as_posix() for p in files if not p.name.startswith(".")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder of scripted modules, as CMake installs it with macros that stand for Slicer's."""
    if shutil.which("cmake") is None:
        pytest.skip("of CMake: cmake is not installed")
    folder = tmp_path_factory.mktemp("cmake")
    slicer_dir = ROOT / "Testing" / "slicer_host" / "cmake"
    for arguments in (
        ("-S", ROOT, "-B", folder / "build", f"-DSlicer_DIR={slicer_dir}"),
        ("--install", folder / "build", "--prefix", folder / "tree", "--component", "RuntimeLibraries"),
    ):
        done = subprocess.run(["cmake", *map(str, arguments)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return folder / "tree" / "lib" / "qt-scripted-modules"


def test_every_file_is_packaged(installed):
    found = {p.relative_to(installed).as_posix() for p in installed.rglob("*") if p.is_file()}
    models = {f"LiverMRISegLib/{name}" for name in tree("Resources/models", ".")}
    library = tree("LiverMRISegLib", ".", "*.py")
    module = tree("LiverMRISeg", "LiverMRISeg", "*.py") | tree("LiverMRISeg/Resources", "LiverMRISeg")
    assert found == models | library | module


def test_the_installed_tree_works_alone(installed):
    """Without the checkout: the library is imported from there, and finds the models."""
    code = (
        "import LiverMRISegScene.bases, LiverMRISegLib; from LiverMRISegLib.models.catalog import find_model; "
        "print(LiverMRISegLib.__file__, find_model('liver-any-sequence'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=installed)
    assert done.returncode == 0, done.stderr
    assert all(path.startswith(str(installed)) for path in done.stdout.split())


def said_in_cmake():
    text = (ROOT / "CMakeLists.txt").read_text()
    return dict(re.findall(r'set\(EXTENSION_(\w+) "?([^"\n]+?)"?\)\n', text))


def test_what_the_extension_says_of_itself_in_cmake():
    """The index reads it from the file, without running CMake; Slicer passes it on as one argument each."""
    said = said_in_cmake()
    for name in ("HOMEPAGE", "ICONURL", "SCREENSHOTURLS"):
        assert said[name].startswith("https://"), name
    assert not [name for name, text in said.items() if set(text) & set(";$")]
    entry = json.loads((ROOT / "LiverMRISeg.json").read_text())
    assert said["DEPENDS"].split() == entry["build_dependencies"]
    assert said["DICOM_SUPPORT_RULE"] == entry["dicom_support_rule"]
    assert int(said["TIER"]) == entry["tier"]
    assert said["CATEGORY"] == entry["category"]


def test_the_catalog_entry_names_only_what_its_schema_knows():
    entry = json.loads((ROOT / "LiverMRISeg.json").read_text())
    assert entry["build_dependencies"] == ["PyTorch"]
    assert set(entry) <= {
        "$schema", "build_dependencies", "build_subdirectory", "category", "dicom_support_rule", "scm_revision",
        "scm_url", "tier",
    }  # fmt: skip


def test_importing_the_module_imports_nothing_foreign_and_runs_nothing():
    pytest.importorskip("slicer")
    code = (
        f"import sys; sys.path.insert(0, {str(MODULE)!r}); before = set(sys.modules); import LiverMRISeg; "
        f"new = {{m.split('.')[0] for m in set(sys.modules) - before}}; "
        f"print(sorted(new & set({FOREIGN!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


def test_the_panel_finds_its_widgets():
    names = {w.get("name") for w in ElementTree.parse(MODULE / "Resources/UI/LiverMRISeg.ui").iter("widget")}
    for file in (MODULE / "LiverMRISegPanel").glob("*.py"):
        used = set(re.findall(r"\bui\.(\w+)", file.read_text()))
        assert used - {"py"} <= names, file.name


def test_every_control_has_a_tooltip():
    root = ElementTree.parse(MODULE / "Resources/UI/LiverMRISeg.ui").getroot()
    for widget in root.iter("widget"):
        if widget.get("class") in ("QPushButton", "QComboBox", "QLineEdit", "qMRMLNodeComboBox", "QTableWidget"):
            has = any(p.get("name") == "toolTip" for p in widget.findall("property"))
            assert has or widget.get("name") == "copyLogButton", widget.get("name")


def test_the_console_contract():
    slicer = pytest.importorskip("slicer")
    from LiverMRISeg import LiverMRISegLogic
    from LiverMRISegScene.self_test import check_phantom

    scene = slicer.vtkMRMLScene()
    slicer.mrmlScene = scene
    logic = LiverMRISegLogic()
    try:
        assert "Dice 0." in check_phantom(logic, scene)
        volume = scene.GetFirstNodeByClass("vtkMRMLScalarVolumeNode")
        results = logic.segmentBatch([volume], model="liver-any-sequence", organs=["liver"])
        assert results[0].node.IsA("vtkMRMLSegmentationNode")
        assert list(results[0].volumes_ml) == ["liver"]
    finally:
        logic.close()
        scene.Clear(True)


@pytest.fixture
def module_file():
    pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
    pytest.importorskip("slicer")
    return MODULE / "LiverMRISeg.py"


RELOAD = """
import sys
from pathlib import Path
from slicer_host import start

host = start()
widget = host.show_panel(host.load_module(Path(sys.argv[1])))
names = ("LiverMRISeg", "LiverMRISegPanel.panel", "LiverMRISegScene.jobs", "LiverMRISegLib.models.catalog")
before = [sys.modules[name] for name in names]
widget.onReload()
import slicer
newer = slicer.modules.LiverMRISegWidget
print(newer is not widget, newer.panel is not None, [sys.modules[n] is b for n, b in zip(names, before)])
print(host.problems.slot_errors, host.problems.unknown_signals)
newer.cleanup()
"""


def test_reload_loads_every_file_again(module_file):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "Testing"), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", RELOAD, str(module_file)], capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert "True True [False, False, False, False]\n[] []\n" in done.stdout


def test_the_self_test_is_skipped_where_packages_are_missing(host, module, monkeypatch):
    """As Slicer's ctest runs it (slicer.testing.runUnitTest) on a computer that has only Slicer."""
    from LiverMRISegScene import self_test

    monkeypatch.setattr(self_test, "missing_requirements", lambda: ["openvino>=2024.6"])
    result = unittest.TestResult()
    unittest.TestLoader().loadTestsFromName(module.__name__).run(result)
    assert result.wasSuccessful()
    assert [reason for _, reason in result.skipped] == [
        "these Python packages are not installed: openvino>=2024.6; click Install requirements in LiverMRISeg"
    ]
