"""After the click, by real clicks: the Segment Editor, one organ again, inside an ROI, numbers that follow edits."""

import numpy as np
import pytest

from helpers.needs import real_images
from helpers.places import DATA

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.panel import rows, segment, segmentations
from helpers.scene_tools import add_blocks, add_random, draw
from helpers.waiting import SECONDS
from LiverMRISegLib.anatomy import LIVER

LESS = np.zeros((24, 36, 40), bool)
LESS[4:12, 4:20, 5:9] = True
UNEDITED, EDITED = ["0.60", "check the outline; touches the edge"], ["", "edited; touches the edge"]
REAL = DATA / "mr_t2_liver_kidneys_spleen" / "mr_01.nii.gz"


def volumes(panel):
    return {name: float(row[1].text()) for name, row in rows(panel.ui.resultTable).items()}


def test_any_segmentation_can_be_opened_in_the_segment_editor(host, panel, scene, result):
    import slicer

    node, volume = result
    add_random(scene, "another")
    panel.ui.resultTable.selectRow(1)
    host.click(panel.ui.editButton)
    assert host.selector.selectedModule == "SegmentEditor"
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    assert editor.segmentationNode() is node
    assert editor.sourceVolumeNode() is volume
    assert editor.currentSegmentID() == "spleen"
    assert len(segmentations(scene)) == 1


def test_numbers_follow_edits_once_they_pause(host, panel, scene, result):
    node, volume = result
    before = volumes(panel)
    mask = np.zeros((24, 36, 40), bool)
    measured = []
    panel.table._measure = lambda measure=panel.table._measure: measured.append(1) or measure()
    for width in range(2, 8):  # strokes of a brush
        mask[4:12, 4:20, 5 : 5 + width] = True
        draw(node, "liver", mask, volume)
    assert volumes(panel) == before
    assert host.wait(lambda: volumes(panel) != before, SECONDS)
    assert volumes(panel)["liver"] == pytest.approx(before["liver"] * 7 / 15, abs=0.06)
    assert volumes(panel)["spleen"] == before["spleen"]
    assert rows(panel.ui.resultTable)["liver"][3].text() == "edited"
    assert rows(panel.ui.resultTable)["spleen"][3].text() == ""
    assert len(measured) == 1
    node.GetSegmentation().AddEmptySegment("mine", "Lesion 1")
    assert host.wait(lambda: "Lesion 1" in volumes(panel), SECONDS)
    scene.RemoveNode(node)
    assert panel.ui.inputSelector.currentNode() is volume


def show_with_trust(panel, node):
    from LiverMRISegLib.inference.flag import EDGE, TRUST, Flag
    from LiverMRISegScene.scene_result import SceneResult

    flags = [Flag("has trust 0.60", "liver", TRUST), Flag("touches the edge", "liver", EDGE), Flag("the file is odd")]
    panel.table.show(SceneResult("organs", node, volumes(panel), flags, trust={"liver": 0.6, "spleen": 0.8}))


def trust_and_check(panel, name):
    return [cell.text() for cell in rows(panel.ui.resultTable)[name][2:]]


def test_what_was_said_of_an_outline_goes_once_it_is_edited(host, panel, scene, result):
    node, volume = result
    show_with_trust(panel, node)
    assert trust_and_check(panel, "liver") == UNEDITED
    assert panel.ui.flagsLabel.text.split("\n") == [
        "Look at this organ first: liver (trust 0.60)",
        "\u26a0 liver has trust 0.60", "\u26a0 liver touches the edge", "\u26a0 the file is odd",
    ]  # fmt: skip
    draw(node, "liver", LESS, volume)
    assert host.wait(lambda: trust_and_check(panel, "liver") == EDITED, SECONDS)
    assert panel.ui.flagsLabel.text.split("\n") == [
        "Look at this organ first: spleen (trust 0.80)",
        "\u26a0 liver touches the edge (edited since)", "\u26a0 the file is odd",
    ]  # fmt: skip
    assert "0.60" not in panel.table.as_text(",")


def test_what_was_said_of_a_result_is_there_when_it_is_chosen_again(panel, scene, result):
    from LiverMRISegLib.anatomy import CHAOS
    from LiverMRISegLib.inference.flag import EDGE, TRUST, Flag
    from LiverMRISegScene.scene_result import SceneResult
    from LiverMRISegScene.segmentations import add_segmentation

    node, volume = result
    liver = np.zeros((24, 36, 40), np.uint8)
    liver[4:12, 4:20, 5:20] = 1
    other = add_segmentation(scene, volume, liver, CHAOS, "other")
    flags = [Flag("is cut", "liver", EDGE), Flag("has trust 0.62: check the outline", "liver", TRUST)]
    panel.table.show(SceneResult("x", node, {"liver": 38.4, "spleen": 6.0}, flags, trust={"liver": 0.62}))
    said = panel.ui.flagsLabel.text
    assert "liver is cut" in said
    panel.ui.outputSelector.setCurrentNode(other)
    assert panel.ui.flagsLabel.text == ""
    panel.ui.outputSelector.setCurrentNode(node)
    assert panel.ui.flagsLabel.text == said
    panel.ui.outputSelector.setCurrentNode(other)
    draw(node, "liver", (liver > 0) & (np.arange(40) > 9), volume)
    panel.ui.outputSelector.setCurrentNode(node)
    assert panel.ui.flagsLabel.text == "\u26a0 liver is cut (edited since)"
    scene.Clear(0)
    assert panel.table._known == {}


def test_a_segment_that_is_renamed_keeps_what_was_said_of_its_organ(host, panel, scene, result):
    node, _volume = result
    show_with_trust(panel, node)
    node.GetSegmentation().GetSegment("liver").SetName("Leber")
    assert host.wait(lambda: "Leber" in rows(panel.ui.resultTable), SECONDS)
    assert trust_and_check(panel, "Leber") == UNEDITED
    assert set(rows(panel.ui.resultTable)) == {"Leber", "spleen"}
    panel.ui.resultTable.selectRow(0)
    assert panel.table.selected_organ == "liver"


def test_an_edited_organ_stays_edited_when_another_one_is_segmented_again(host, bright_worker, panel, scene):
    volume = add_blocks(scene, "T1WI", np.s_[4:12, 4:20, 5:20], np.s_[14:20, 20:30, 25:30])
    segment(host, panel, volume)
    node = segmentations(scene)[0]
    show_with_trust(panel, node)
    draw(node, "liver", LESS, volume)
    assert host.wait(lambda: trust_and_check(panel, "liver") == EDITED, SECONDS)
    for button, trust in ((panel.ui.discardButton, "0.80"), (panel.ui.acceptButton, "")):
        panel.ui.resultTable.selectRow([row.key for row in panel.table._rows].index("spleen"))
        host.click(panel.ui.againButton)
        assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
        host.click(button)
        assert trust_and_check(panel, "liver") == EDITED
        assert trust_and_check(panel, "spleen") == [trust, ""]
    assert panel.ui.flagsLabel.text.split("\n") == [
        "\u26a0 liver touches the edge (edited since)", "\u26a0 the file is odd"
    ]  # fmt: skip


def test_one_organ_again_leaves_all_edits_of_others(host, bright_worker, panel, scene):
    volume = add_blocks(scene, "T1WI", np.s_[4:12, 4:20, 5:20], np.s_[14:20, 20:30, 25:30])
    segment(host, panel, volume)
    node = segmentations(scene)[0]
    original = volumes(panel)
    lesion = np.zeros((24, 36, 40), bool)
    lesion[10:14, 6:9, 6:12] = True
    node.GetSegmentation().AddEmptySegment("mine", "Lesion 1")
    for segment_id in ("mine", "spleen", "liver"):
        draw(node, segment_id, lesion, volume)
    assert host.wait(lambda: volumes(panel).get("Lesion 1"), SECONDS)
    edited = volumes(panel)
    host.click(panel.ui.againButton)
    assert panel.ui.statusLabel.text == "Select an organ in the table first."
    table = panel.ui.resultTable
    table.selectRow([table.item(n, 0).text() for n in range(table.rowCount)].index("liver"))
    host.click(panel.ui.againButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert list(volumes(panel)) == ["liver"]
    assert volumes(panel)["liver"] == original["liver"] != edited["liver"]
    host.click(panel.ui.acceptButton)
    assert segmentations(scene) == [node]
    assert volumes(panel) == {**edited, "liver": original["liver"]}
    host.click(panel.ui.undoButton)
    assert volumes(panel) == edited
    table.selectRow([table.item(n, 0).text() for n in range(table.rowCount)].index("Lesion 1"))
    host.click(panel.ui.againButton)
    assert panel.ui.statusLabel.text == "The chosen model does not know 'Lesion 1'."


@real_images("mr_t2_liver_kidneys_spleen/mr_01.nii.gz")
def test_an_organ_that_was_drawn_by_hand_is_segmented_again(host, bright_worker, panel, scene):
    """In the Segment Editor, whose segments have IDs of its own, and called in another language."""
    volume = add_blocks(scene, "T1WI", np.s_[4:12, 4:20, 5:20])
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mine")
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume)
    mask = np.zeros((24, 36, 40), bool)
    mask[5:11, 5:18, 6:18] = True
    for segment_id, name in (("Segment_1", "Leber"), ("Segment_2", "Lesion 1")):
        node.GetSegmentation().AddEmptySegment(segment_id, name)
        draw(node, segment_id, mask, volume)
    node.GetSegmentation().GetSegment("Segment_1").SetTag("TerminologyEntry", LIVER.terminology_entry)
    panel.ui.inputSelector.setCurrentNode(volume)
    panel.ui.outputSelector.setCurrentNode(node)
    before = volumes(panel)
    assert list(before) == ["Leber", "Lesion 1"]
    panel.ui.resultCollapsibleButton.collapsed = False
    panel.ui.resultTable.selectRow(0)
    host.click(panel.ui.againButton)
    assert host.wait(lambda: panel.run.accepting.is_asking, SECONDS), panel.ui.statusLabel.text
    host.click(panel.ui.acceptButton)
    assert panel.table.node is node
    after = volumes(panel)
    assert list(after) == ["Leber", "Lesion 1"]
    assert after["Leber"] == pytest.approx(before["Leber"] * (8 * 16 * 15) / (6 * 13 * 12), abs=0.1)
    assert after["Lesion 1"] == before["Lesion 1"]
    host.click(panel.ui.undoButton)
    assert volumes(panel) == before


def test_inside_an_roi_of_a_real_volume(host, panel, scene):
    """As without the ROI inside it; in a segmentation that is there, all outside stays."""
    from LiverMRISegLib.io import read_volume
    from LiverMRISegScene.segmentations import image_array, segment_image
    from LiverMRISegScene.volumes import add_volume, ijk_to_world

    def voxels():
        return int(image_array(segment_image(panel.table.node, "right_kidney")).sum())

    node = add_volume(scene, read_volume(REAL), "abdomen")  # not by its sequence, whose own model has the liver alone
    segment(host, panel, node)
    whole = volumes(panel)
    organs = panel.table.node
    image = segment_image(organs, "right_kidney")
    middle = np.argwhere(image_array(image)).mean(0)[::-1] + image.GetExtent()[::2]
    roi = scene.AddNewNodeByClass("vtkMRMLMarkupsROINode", "R")
    roi.SetSize(160, 160, 160)
    roi.SetCenter(*(ijk_to_world(node) @ (*middle, 1))[:3])
    panel.ui.roiSelector.setCurrentNode(roi)
    panel.ui.outputSelector.setCurrentNode(None)
    segment(host, panel)
    assert panel.table.node is not organs
    assert volumes(panel)["right kidney"] == pytest.approx(whole["right kidney"], rel=0.01)
    assert 0 < volumes(panel)["liver"] < whole["liver"]
    assert "liver continues outside the box it was segmented in" in panel.ui.flagsLabel.text
    roi.SetSize(160, 160, 30)
    panel.ui.outputSelector.setCurrentNode(organs)
    before = voxels()
    panel.ui.resultTable.selectRow([row.key for row in panel.table._rows].index("right kidney"))
    host.click(panel.ui.againButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert volumes(panel)["right kidney"] < 0.8 * whole["right kidney"]
    assert "inside the ROI" in panel.ui.acceptLabel.text
    host.click(panel.ui.acceptButton)
    assert voxels() == pytest.approx(before, rel=0.01)
    roi.SetCenter(9999, 0, 0)
    host.click(panel.ui.againButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert "outside the volume; move it onto the volume" in panel.ui.statusLabel.text
