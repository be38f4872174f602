"""The module as Slicer finds it: it imports nothing foreign, reloads whole, and the console's contract holds."""

import os
import re
import subprocess
import sys
import unittest
import xml.etree.ElementTree as ElementTree

import pytest

from helpers.places import ROOT

MODULE = ROOT / "LiverMRISeg"
FOREIGN = ("torch", "openvino", "SimpleITK", "safetensors", "tqdm", "matplotlib", "monai", "qt", "ctk")


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


def test_what_runs_when_slicer_starts_loads_no_numpy():
    """Slicer itself loads it when it is first used."""
    code = "import sys; import LiverMRISegScene.sample_data; print(list(sys.modules))"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(MODULE), str(ROOT)])}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert "'LiverMRISegLib.anatomy'" in done.stdout
    assert "'numpy'" not in done.stdout


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
import slicer
from LiverMRISegScene.sample_data import SAMPLES, add_sample
volumes = [add_sample(slicer.mrmlScene, name)[0] for name in SAMPLES]
widget.panel.ui.inputSelector.setCurrentNode(volumes[1])
widget.onReload()
newer = slicer.modules.LiverMRISegWidget
print(newer.panel.ui.inputSelector.currentNode() is volumes[1])
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
    assert "True\nTrue True [False, False, False, False]\n[] []\n" in done.stdout  # the chosen volume stays


RELOAD_IN_A_RUN = """
import os, sys
from pathlib import Path
from slicer_host import start

host = start()
widget = host.show_panel(host.load_module(Path(sys.argv[1])))
import slicer
from helpers.panel import segmentations
from helpers.scene_tools import add_blocks
from helpers.waiting import SECONDS
volume = add_blocks(slicer.mrmlScene, "T1WI", (slice(4, 12), slice(4, 20), slice(5, 20)))
panel = widget.panel
panel.ui.inputSelector.setCurrentNode(volume)
Path(sys.argv[2]).touch()
host.click(panel.ui.segmentButton)
host.wait(lambda: panel.ui.statusLabel.text.startswith("held"), SECONDS)
process = panel.worker.process_id
widget.onReload()
newer = slicer.modules.LiverMRISegWidget.panel
print(process > 0, host.wait(lambda: not os.path.exists(f"/proc/{process}"), SECONDS), newer.queue.is_busy)
Path(sys.argv[2]).unlink()
print(segmentations(slicer.mrmlScene), newer.ui.segmentButton.text)
host.click(newer.ui.segmentButton)
host.wait(lambda: not newer.queue.is_busy, SECONDS)
print([node.GetName() for node in segmentations(slicer.mrmlScene)])
print(host.problems.slot_errors, host.problems.unknown_signals, host.problems.dropped_senders)
slicer.modules.LiverMRISegWidget.cleanup()
"""


def test_reload_ends_a_run_and_its_process(module_file, held_worker, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "Testing"), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, "-c", RELOAD_IN_A_RUN, str(module_file), str(tmp_path / "hold")],
        capture_output=True, text=True, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "True True False\n[] Segment\n['T1WI organs']\n[] [] []\n" in done.stdout, done.stdout + done.stderr


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


def test_a_panel_without_a_parent_is_a_window_that_follows_the_scene(host, module, scene):
    """As a developer makes one in the Python console: Slicer's base class then calls setup itself."""
    window = module.LiverMRISegWidget()
    assert window.parent.visible
    assert window.panel.ui.statusLabel.text == "Choose a volume."
    scene.Clear(0)
    window.cleanup()
    window.parent.close()
    scene.Clear(0)
    assert host.problems.slot_errors == []
