"""The panel by real mouse clicks, a real worker process and the shipped model; the host stands for the application."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from helpers.needs import real_images
from helpers.places import DATA

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.panel import SECONDS, is_zombie, rows, segment, segmentations
from helpers.scene_tools import add_flat, add_random

REAL = DATA / "mr_t2_liver_kidneys_spleen" / "mr_01.nii.gz"


def test_empty_panel_says_what_to_do(panel):
    assert not panel.ui.segmentButton.enabled
    assert panel.ui.statusLabel.text == "Choose a volume."
    assert not panel.ui.progressBar.visible
    assert not panel.ui.acceptFrame.visible


def test_only_images_can_be_chosen(panel, scene):
    scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", "colours")
    add_random(scene, "T1WI")
    assert panel.ui.inputSelector.nodeCount() == 1


def test_a_click_segments_and_the_window_lives(host, panel, scene, phantom):
    import qt

    ticks = []
    timer = qt.QTimer()
    timer.connect("timeout()", lambda: ticks.append(time.monotonic()))
    timer.start(20)
    segment(host, panel, phantom, wait=False)
    assert panel.ui.segmentButton.text == "Cancel"
    assert panel.ui.progressBar.visible
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    timer.stop()
    assert len(ticks) > 20
    assert panel.ui.segmentButton.text == "Segment"
    assert panel.ui.statusLabel.text.startswith("Done in")
    node = segmentations(scene)[0]
    assert panel.ui.outputSelector.currentNode() is node
    table = rows(panel.ui.resultTable)
    assert len(table) == 9
    assert 1000 < float(table["liver"][1].text()) < 2500
    assert not panel.ui.resultCollapsibleButton.collapsed
    assert "liver-any-sequence: done" in panel.ui.logText.toPlainText()
    assert re.search(r"engine openvino cpu \w+; prepare [\d.]+ s, network [\d.]+ s, ", panel.ui.logText.toPlainText())
    assert phantom.GetName() not in panel.ui.logText.toPlainText()


@real_images("mr_t2_liver_kidneys_spleen/mr_01.nii.gz")
def test_a_real_volume(host, panel, scene):
    from LiverMRISegLib.io import read_labelmap, read_volume
    from LiverMRISegScene.volumes import add_volume

    node = add_volume(scene, read_volume(REAL), "T2WI")
    segment(host, panel, node)
    assert panel.picker.offer.warning == ""
    truth = read_labelmap(REAL.with_name("mr_01_label.nii.gz"))
    expected = float((truth.array == 1).sum()) * truth.geometry.voxel_volume_ml
    assert float(rows(panel.ui.resultTable)["liver"][1].text()) == pytest.approx(expected, rel=0.15)


def test_show_in_3d_hide_an_organ_copy_and_save(host, panel, scene, phantom, monkeypatch, tmp_path):
    import qt

    segment(host, panel, phantom)
    node = segmentations(scene)[0]
    host.click(panel.ui.show3DButton)
    assert node.GetSegmentation().ContainsRepresentation("Closed surface")
    assert node.GetDisplayNode().GetVisibility3D()
    segments = panel.ui.segmentsView
    assert segments.segmentCount == node.GetSegmentation().GetNumberOfSegments()
    segments.tableWidget().item(0, 0).setCheckState(qt.Qt.Unchecked)
    assert not node.GetDisplayNode().GetSegmentVisibility("liver")
    assert node.GetDisplayNode().GetSegmentVisibility("spleen")
    host.click(panel.ui.show3DButton)
    assert not node.GetSegmentation().ContainsRepresentation("Closed surface")
    host.click(panel.ui.copyButton)
    assert qt.QApplication.clipboard().text().startswith("organ\tvolume mL\ttrust\tcheck\nliver\t1")
    target = tmp_path / "volumes.csv"
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", staticmethod(lambda *a: str(target)))
    host.click(panel.ui.exportButton)
    assert [row["organ"] for row in csv.DictReader(target.open())][:2] == ["liver", "right kidney"]


def test_a_long_flag_does_not_make_its_row_high(panel):
    from LiverMRISegScene.results import SceneResult

    def height(flag):
        panel.table.show(SceneResult("x", None, {"liver": 1500.0}, [flag]))
        return panel.ui.resultTable.rowHeight(0)

    long = "liver " + "consists of many separate parts " * 20
    assert height(long) == height("liver is cut")
    panel.table.show(SceneResult("x", None, {"liver": 1500.0}, [long]))
    assert panel.ui.resultTable.item(0, 3).toolTip() == long.removeprefix("liver ")
    assert long in panel.ui.flagsLabel.text


def test_the_organ_that_the_model_trusts_least_is_to_be_looked_at_first(panel):
    from LiverMRISegScene.results import SceneResult

    volumes, flag = {"liver": 1500.0, "spleen": 200.0}, "spleen has trust 0.62: check the outline"
    panel.table.show(SceneResult("x", None, volumes, [flag], trust={"liver": 0.914, "spleen": 0.62}))
    assert not panel.ui.resultTable.isColumnHidden(2)
    cells = {name: [cell.text() for cell in row] for name, row in rows(panel.ui.resultTable).items()}
    assert cells["liver"][2:] == ["0.91", ""]
    assert cells["spleen"][2:] == ["0.62", "has trust 0.62: check the outline"]
    assert panel.ui.flagsLabel.text.startswith("Look at this organ first: spleen (trust 0.62)<br>")
    assert "spleen\t200.0\t0.62\thas trust" in panel.table.as_text("\t")
    panel.table.show(SceneResult("x", None, volumes))
    assert panel.ui.resultTable.isColumnHidden(2)
    assert not panel.ui.flagsLabel.visible


def test_a_second_run_keeps_the_old_result_until_accepted(host, panel, scene, phantom):
    import slicer

    segment(host, panel, phantom)
    older = segmentations(scene)[0]
    older.GetSegmentation().RemoveSegment("liver")
    mine = slicer.vtkSegment()
    mine.SetName("drawn by hand")
    older.GetSegmentation().AddSegment(mine, "mine")
    segment(host, panel)
    assert panel.ui.acceptFrame.visible
    assert len(segmentations(scene)) == 2
    assert older.GetSegmentation().GetSegment("liver") is None
    host.click(panel.ui.discardButton)
    assert segmentations(scene) == [older]
    assert "drawn by hand" in rows(panel.ui.resultTable)
    segment(host, panel)
    host.click(panel.ui.acceptButton)
    assert segmentations(scene) == [older]
    assert older.GetSegmentation().GetSegment("liver") is not None
    assert older.GetSegmentation().GetSegment("mine") is not None
    assert not panel.ui.acceptFrame.visible
    host.click(panel.ui.undoButton)
    assert older.GetSegmentation().GetSegment("liver") is None
    assert older.GetSegmentation().GetSegment("mine") is not None
    assert not panel.ui.undoButton.visible


def test_cancel_in_the_middle_takes_effect_within_a_second(host, slow_worker, panel, scene, phantom):
    segment(host, panel, phantom, wait=False)
    assert host.wait(lambda: panel.ui.progressBar.value >= 5, SECONDS)
    begun = time.monotonic()
    host.click(panel.ui.segmentButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert time.monotonic() - begun < 5  # how fast is measured by the benchmark; this only finds a hang
    assert panel.ui.statusLabel.text.startswith("Cancelled")
    assert segmentations(scene) == []
    segment(host, panel)
    assert len(segmentations(scene)) == 1


def test_a_worker_that_hears_nothing_is_ended(host, stuck_worker, panel, scene, phantom):
    segment(host, panel, phantom, wait=False)
    assert host.wait(lambda: panel.ui.progressBar.value >= 5, SECONDS)
    worker = panel.worker.process_id
    assert "LiverMRISegLib.inference.worker.server" in Path(f"/proc/{worker}/cmdline").read_text()
    assert str(Path(sys.executable)) in Path(f"/proc/{worker}/cmdline").read_text()
    host.click(panel.ui.segmentButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert panel.ui.statusLabel.text.startswith("Cancelled")
    assert host.wait(lambda: not Path(f"/proc/{worker}").exists() or is_zombie(worker), 5)


def test_a_worker_that_is_killed_is_named_and_the_next_click_works(host, slow_worker, panel, scene, phantom):
    segment(host, panel, phantom, wait=False)
    assert host.wait(lambda: panel.ui.progressBar.value >= 5, SECONDS)
    os.kill(panel.worker.process_id, signal.SIGKILL)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert "ended unexpectedly (SIGKILL" in panel.ui.statusLabel.text
    assert not panel.ui.logCollapsibleButton.collapsed
    segment(host, panel)
    assert panel.ui.statusLabel.text.startswith("Done")


def test_gpus_are_listed_once_the_driver_has_answered(host, module, scene, monkeypatch, tmp_path):
    program = tmp_path / "nvidia-smi"
    answer = "echo '0, NVIDIA A100, 40960, 38000, 550.54, 8.0'"
    program.write_text(f"#!/bin/sh\nwhile [ ! -e {tmp_path}/go ]; do sleep 0.1; done\n{answer}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    import slicer

    slicer.app.settings().clear()
    selector = (widget := host.show_panel(module)).panel.ui.deviceSelector
    assert selector.findData("cuda:0") == -1
    assert selector.findData("cpu") > 0
    (tmp_path / "go").touch()
    assert host.wait(lambda: selector.findData("cuda:0") > 0, SECONDS)
    selector.setCurrentIndex(selector.findData("cuda:0"))
    widget.panel.picker._device_chosen(0)
    (tmp_path / "go").unlink()
    other = host.show_panel(module)  # the choice is kept while the driver has not answered yet
    assert other.panel.picker.device == "cuda:0"
    other.cleanup()
    other.parent.close()
    slicer.app.settings().clear()
    widget.panel.picker.refresh()  # asks again, and goes before the answer
    widget.cleanup()
    widget.parent.close()


def test_a_full_gpu_takes_less_memory_and_says_so(host, full_gpu, panel, scene, phantom):
    segment(host, panel, phantom)
    assert panel.ui.statusLabel.text.startswith("Done"), panel.ui.statusLabel.text
    assert "computed one tile at a time" in panel.ui.flagsLabel.text
    assert "on the CPU" in panel.ui.flagsLabel.text


def test_a_worker_that_cannot_start(host, panel, phantom, monkeypatch):
    from LiverMRISegPanel import qt_worker

    monkeypatch.setattr(qt_worker, "worker_python", lambda: "/nowhere/PythonSlicer")
    panel.ui.inputSelector.setCurrentNode(phantom)
    host.click(panel.ui.segmentButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert "could not be started" in panel.ui.statusLabel.text


def test_install_declined(host, panel, phantom, monkeypatch):
    from LiverMRISegPanel import maintenance

    asked = []
    monkeypatch.setattr(maintenance, "missing_requirements", lambda: ["openvino>=2024.6"])
    monkeypatch.setattr(maintenance, "install_missing", lambda confirm: asked.append(confirm) or False)
    panel.ui.inputSelector.setCurrentNode(phantom)
    host.click(panel.ui.segmentButton)
    assert len(asked) == 1
    assert not panel.queue.is_busy
    assert "not installed" in panel.ui.statusLabel.text


def test_an_installation_that_fails_says_why(host, panel, phantom, monkeypatch):
    """Not only in a section that is folded."""
    import slicer

    from LiverMRISegPanel import maintenance
    from LiverMRISegScene import installation

    def fail(_requirements):
        raise subprocess.CalledProcessError(1, "pip")

    monkeypatch.setattr(maintenance, "missing_requirements", lambda: ["openvino>=2024.6"])
    monkeypatch.setattr(installation, "missing_requirements", lambda: ["openvino>=2024.6"])
    monkeypatch.setattr(slicer.util, "pip_install", fail, raising=False)
    panel.ui.inputSelector.setCurrentNode(phantom)
    host.click(panel.ui.segmentButton)
    assert not panel.queue.is_busy
    assert "installing openvino>=2024.6 failed: pip ended with exit status 1" in panel.ui.statusLabel.text


def test_weights_that_are_not_free_are_asked_for_once(host, panel, scene, phantom):
    panel.ui.inputSelector.setCurrentNode(phantom)
    host.dialogs.answer = False
    host.dialogs.shown.clear()
    host.click(panel.ui.segmentButton)
    host.dialogs.answer = True
    assert "BTCV" in host.dialogs.shown[0][1]
    assert not panel.queue.is_busy
    assert "not accepted" in panel.ui.statusLabel.text
    segment(host, panel)
    segment(host, panel)
    assert len(host.dialogs.shown) == 2


def test_an_input_that_cannot_be_used_says_why(host, panel, scene):
    segment(host, panel, add_flat(scene, "Muller^Anna"))
    assert panel.ui.statusLabel.text.startswith("Failed: Muller^Anna: all voxels have the value 7")
    assert "Anna" not in panel.ui.logText.toPlainText()


def test_a_long_name_does_not_make_the_panel_wide(host, panel, scene):
    def needed():
        return panel.ui.statusLabel.minimumSizeHint().width()

    panel.run._failed("x")
    short = needed()
    panel.run._failed("t1_vibe_dixon_tra_bh_p4_post_KM_20min_opp_W_F_reformatted_from_coronal: is damaged")
    assert needed() < short + 100


def test_closing_the_scene_in_the_middle(host, slow_worker, panel, scene, phantom):
    segment(host, panel, phantom, wait=False)
    assert host.wait(lambda: panel.ui.progressBar.value >= 5, SECONDS)
    process = panel.worker.process_id
    scene.Clear(0)
    assert not panel.queue.is_busy
    assert host.wait(lambda: not Path(f"/proc/{process}").exists() or is_zombie(process), 5)
    assert panel.ui.resultTable.rowCount == 0
    assert panel.ui.statusLabel.text == "Choose a volume."
    from LiverMRISegScene.sample_data import add_sample

    segment(host, panel, add_sample(scene, "LiverMRISegPhantom-T2WI")[0])
    assert panel.ui.statusLabel.text.startswith("Done")


def test_leaving_the_application_ends_the_worker(host, module, scene, phantom):
    widget = host.show_panel(module)
    segment(host, widget.panel, phantom)
    process = widget.panel.worker.process_id
    assert process > 0
    widget.cleanup()
    widget.parent.close()
    assert not Path(f"/proc/{process}").exists() or is_zombie(process)


def test_models_that_do_not_fit_are_marked_and_search_finds(host, panel, scene):
    panel.ui.inputSelector.setCurrentNode(add_random(scene, "CT thorax"))
    assert "The volume is CT" in panel.ui.fitWarning.text
    assert panel.ui.fitWarning.visible
    panel.ui.modelSearch.setText("knee")
    assert panel.picker.offer is None
    assert not panel.ui.segmentButton.enabled
    assert panel.ui.statusLabel.text == "Choose a model."
    panel.ui.modelSearch.setText("pancreas")
    assert panel.picker.offer.entry.name == "liver-any-sequence"
    assert "Measured" in panel.ui.modelDetails.text


def test_only_the_checked_organs_and_they_are_remembered(host, module, panel, scene, phantom):
    import qt

    names = [panel.ui.organList.item(n).text() for n in range(panel.ui.organList.count)]
    for n, name in enumerate(names):
        if name not in ("liver", "spleen"):
            panel.ui.organList.item(n).setCheckState(qt.Qt.Unchecked)
    segment(host, panel, phantom)
    assert list(rows(panel.ui.resultTable)) == ["liver", "spleen"]
    again = host.show_panel(module)
    try:
        assert again.panel.picker.organs == ["liver", "spleen"]
    finally:
        again.cleanup()
        again.parent.close()


def test_check_installation_and_models(host, panel, monkeypatch, tmp_path):
    import qt

    from helpers.packages import random_weights, tiny_spec
    from LiverMRISegLib.models.package.model_package import save_package

    panel.ui.maintenanceCollapsibleButton.collapsed = False
    shipped = panel.ui.modelTable.rowCount
    host.click(panel.ui.checkButton)
    assert "Python" in panel.ui.checkText.toPlainText()
    spec = tiny_spec("tiny")
    package = save_package(spec, random_weights(spec), tmp_path / "tiny.zip")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", staticmethod(lambda *a: str(package)))
    host.click(panel.ui.importModelButton)
    assert panel.ui.checkText.toPlainText() == "Imported tiny."
    assert panel.ui.modelTable.rowCount == shipped + 1
    panel.ui.modelTable.selectRow(shipped)
    host.click(panel.ui.verifyModelButton)
    assert panel.ui.checkText.toPlainText() == "tiny is complete and undamaged."
    host.click(panel.ui.removeModelButton)
    assert panel.ui.modelTable.rowCount == shipped
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", staticmethod(lambda *a: str(tmp_path / "broken.zip")))
    host.click(panel.ui.importModelButton)
    assert "is not a model package" in panel.ui.checkText.toPlainText()
