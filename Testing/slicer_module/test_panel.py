"""The panel by real mouse clicks, a real worker process and the shipped model; the host stands for the application."""

import csv
import re
import time

import pytest

from helpers.needs import real_images
from helpers.places import DATA

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.panel import rows, segment, segmentations
from helpers.scene_tools import add_flat, add_random
from helpers.waiting import SECONDS

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
    assert re.fullmatch(r"Done in [\d.]+ s\.", panel.ui.statusLabel.text)
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
    assert panel.ui.resultTable.visible
    assert not segments.visible  # folded: the organs are listed once
    panel.ui.segmentsGroup.collapsed = False
    assert segments.visible
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
    import qt

    from LiverMRISegLib.inference.flag import PARTS, Flag
    from LiverMRISegScene.scene_result import SceneResult

    def height(flag):
        panel.table.show(SceneResult("x", None, {"liver": 1500.0}, [flag]))
        return panel.ui.resultTable.rowHeight(0)

    long = Flag("consists of many separate parts " * 20, "liver", PARTS)
    assert height(long) == height(Flag("is cut", "liver"))
    panel.table.show(SceneResult("x", None, {"liver": 1500.0}, [long]))
    assert panel.ui.resultTable.item(0, 3).toolTip() == long.text
    assert long in panel.ui.flagsLabel.text
    assert panel.ui.flagsLabel.textFormat == panel.ui.statusLabel.textFormat == qt.Qt.PlainText  # "cyst <b>" stays


def test_the_organ_that_the_model_trusts_least_is_to_be_looked_at_first(panel):
    from LiverMRISegLib.inference.flag import TRUST, Flag
    from LiverMRISegScene.scene_result import SceneResult

    volumes, flag = {"liver": 1500.0, "spleen": 200.0}, Flag("has trust 0.62", "spleen", TRUST)
    panel.table.show(SceneResult("x", None, volumes, [flag], trust={"liver": 0.914, "spleen": 0.62}))
    assert not panel.ui.resultTable.isColumnHidden(2)
    assert "the Dice to be expected" in panel.ui.resultTable.horizontalHeaderItem(2).toolTip()
    cells = {name: [cell.text() for cell in row] for name, row in rows(panel.ui.resultTable).items()}
    assert cells["liver"][2:] == ["0.91", ""]
    assert cells["spleen"][2:] == ["0.62", "check the outline"]
    assert panel.ui.flagsLabel.text.startswith("Look at this organ first: spleen (trust 0.62)\n")
    assert "spleen\t200.0\t0.62\tcheck the outline" in panel.table.as_text("\t")
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
    can_be_changed = (panel.ui.segmentButton, panel.ui.againButton, panel.ui.outputSelector)
    assert not any(widget.enabled for widget in can_be_changed)  # first the answer
    assert len(segmentations(scene)) == 2
    assert older.GetSegmentation().GetSegment("liver") is None
    host.click(panel.ui.discardButton)
    assert segmentations(scene) == [older]
    assert all(widget.enabled for widget in can_be_changed)
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
