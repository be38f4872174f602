"""The module as Slicer finds it: imports nothing foreign, every file is listed, the console's contract holds."""

import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import pytest

from helpers.places import ROOT

MODULE = ROOT / "LiverMRISeg"
FOREIGN = ("torch", "openvino", "SimpleITK", "safetensors", "tqdm", "matplotlib", "monai", "qt", "ctk")


def listed(cmake, name):
    text = (ROOT / cmake).read_text()
    return re.search(rf"set\({name}\n(.*?)\)", text, re.S)[1].split()


def tree(folder, base, pattern):
    files = [p for p in (ROOT / folder).rglob(pattern) if p.is_file() and "__pycache__" not in p.parts]
    return sorted(str(p.relative_to(ROOT / base)) for p in files if not p.name.startswith("."))


def test_every_file_is_packaged():
    assert sorted(listed("LiverMRISeg/CMakeLists.txt", "MODULE_PYTHON_SCRIPTS")) == tree(
        "LiverMRISeg", "LiverMRISeg", "*.py"
    )
    assert sorted(listed("LiverMRISeg/CMakeLists.txt", "MODULE_PYTHON_RESOURCES")) == tree(
        "LiverMRISeg/Resources", "LiverMRISeg", "*"
    )
    assert sorted(listed("LiverMRISegLib/CMakeLists.txt", "LIBRARY_PYTHON_SCRIPTS")) == tree(
        "LiverMRISegLib", ".", "*.py"
    )
    assert sorted(listed("LiverMRISegLib/CMakeLists.txt", "LIBRARY_RESOURCES")) == tree("Resources/models", ".", "*")


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
