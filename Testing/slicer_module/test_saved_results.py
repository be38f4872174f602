"""What was said of a segmentation (flags, trust) belongs to it: it is saved with the scene, and shown with it again."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.panel import rows, segmentations
from helpers.scene_tools import add_blocks, add_random, draw
from helpers.told_results import FLAGS, SHOWN, SIZE, SPLEEN, answered, reply
from helpers.volumes import make_volume
from helpers.waiting import SECONDS
from LiverMRISegLib.anatomy import LabelSet, organ_named
from LiverMRISegLib.inference.segmentation import Segmentation
from LiverMRISegScene.results import accepted, stamp_of
from LiverMRISegScene.scene_result import read_result, write_result


def made(scene, folder, name="Mueller^Anna T2WI"):
    """A segmentation as a run makes it, and its volume."""
    volume = add_random(scene, name)
    return accepted(scene, volume, folder, answered(folder), stamp_of(volume)).node, volume


def test_a_segmentation_brings_what_was_said_of_it(host, panel, scene, reopen, tmp_path):
    node, volume = made(scene, tmp_path / "work")
    panel.ui.inputSelector.setCurrentNode(volume)
    panel.ui.outputSelector.setCurrentNode(node)
    assert panel.ui.flagsLabel.text.split("\n") == SHOWN
    reopen()
    assert panel.ui.flagsLabel.text.split("\n") == SHOWN
    found = rows(panel.ui.resultTable)
    assert [cell.text() for cell in found["liver"]] == ["liver", "38.4", "0.60", "touches the edge; check the outline"]
    assert [cell.text() for cell in found["right kidney"]] == ["right kidney", "0.0", "", "was not found"]
    assert panel.table.node is segmentations(scene)[0] is not node


def test_what_was_edited_before_or_after_is_known(host, panel, scene, reopen, tmp_path):
    node, volume = made(scene, tmp_path / "work")
    panel.ui.outputSelector.setCurrentNode(node)
    less = np.zeros(SIZE[::-1], bool)
    less[4:12, 4:20, 5:9] = True
    draw(node, "liver", less, volume)
    reopen()
    assert panel.ui.flagsLabel.text.startswith("Look at this organ first: spleen (trust 0.80)\n")
    assert rows(panel.ui.resultTable)["liver"][3].text() == "edited; touches the edge"
    draw(panel.table.node, "spleen", less, panel.ui.inputSelector.currentNode() or volume)
    assert host.wait(lambda: rows(panel.ui.resultTable)["spleen"][3].text() == "edited", SECONDS)


def test_another_segmentation_has_its_own(panel, scene, reopen, tmp_path):
    node, _volume = made(scene, tmp_path / "work")
    scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "by hand")
    panel.ui.outputSelector.setCurrentNode(node)
    reopen()
    node, by_hand = segmentations(scene)
    panel.ui.outputSelector.setCurrentNode(by_hand)
    assert panel.ui.flagsLabel.text == ""
    panel.ui.outputSelector.setCurrentNode(node)
    assert panel.ui.flagsLabel.text.split("\n") == SHOWN
    scene.Clear(0)
    assert panel.ui.flagsLabel.text == ""


def test_no_name_of_a_patient_is_in_it(scene, tmp_path):
    node, _volume = made(scene, tmp_path / "work")
    assert "Mueller" in node.GetName()
    assert "Mueller" not in node.GetAttribute("LiverMRISeg.Result")
    write_result(node, read_result(scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "by hand")))
    assert node.GetAttribute("LiverMRISeg.Result") is None


def segment_file(scene, file, write=None):
    """A segmentation that Slicer loads from a .seg.nrrd, or writes (`write`) to it; with no scene beside it."""
    import slicer

    storage = slicer.vtkMRMLSegmentationStorageNode()
    scene.AddNode(storage)
    storage.SetFileName(str(file))
    if write is not None:
        assert storage.WriteData(write) == 1
        return write
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", file.name)
    assert storage.ReadData(node) == 1
    return node


def by_command(file):
    """What `livermriseg segment` saves."""
    labels, said = reply()
    geometry = make_volume(size=SIZE).geometry
    organs = LabelSet("result", {value: organ_named(name) for name, value in said["labels"].items()})
    Segmentation(labels, organs, geometry, said["volumes_ml"], FLAGS, {}, trust=said["trust"]).save(file)


def test_a_file_alone_brings_what_was_said_of_it(host, panel, scene, tmp_path):
    """Saved by the command, loaded by Slicer, saved by Slicer, loaded again."""
    volume = add_random(scene, "t2")
    panel.ui.inputSelector.setCurrentNode(volume)
    by_command(tmp_path / "command.seg.nrrd")
    node = segment_file(scene, tmp_path / "command.seg.nrrd")
    panel.ui.outputSelector.setCurrentNode(node)
    assert panel.ui.flagsLabel.text.split("\n") == SHOWN
    assert rows(panel.ui.resultTable)["liver"][3].text() == "touches the edge; check the outline"
    segment_file(scene, tmp_path / "slicer.seg.nrrd", node)
    again = segment_file(scene, tmp_path / "slicer.seg.nrrd")
    assert read_result(again).flags == FLAGS
    panel.ui.outputSelector.setCurrentNode(again)
    draw(again, "liver", np.indices(SIZE[::-1])[2] < 3, volume)
    assert host.wait(lambda: rows(panel.ui.resultTable)["liver"][3].text() == "edited; touches the edge", SECONDS)


def test_what_the_panel_said_is_in_a_file_alone(scene, tmp_path):
    node, _volume = made(scene, tmp_path / "work")
    segment_file(scene, tmp_path / "organs.seg.nrrd", node)
    loaded = read_result(segment_file(scene, tmp_path / "organs.seg.nrrd"))
    assert (loaded.flags, loaded.trust) == (FLAGS, {"liver": 0.6, "spleen": 0.8})
    assert "Mueller" not in (tmp_path / "organs.seg.nrrd").read_bytes().decode("latin-1")


def test_segments_of_several_results_say_nothing(scene, tmp_path):
    node, _volume = made(scene, tmp_path / "work")
    by_command(tmp_path / "other.seg.nrrd")
    other = segment_file(scene, tmp_path / "other.seg.nrrd")
    write_result(other, replace(read_result(other), trust={"liver": 0.9}))
    mixed = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "mixed")
    for source, organ in ((node, "liver"), (other, "spleen")):
        segment = source.GetSegmentation().GetSegment(organ)
        assert mixed.GetSegmentation().AddSegment(segment, organ)
    assert (read_result(mixed).flags, read_result(mixed).trust) == ([], {})


@pytest.mark.parametrize(
    "text",
    [
        "not JSON", "[]", '{"trust": {"liver": "high"}}', '{"later": 1}', '{"flags": [{"text": "x"}]}', "[" * 99,
        '{"trust": {"liver": NaN}}', '{"flags": [{"text": "x", "organ": 3, "kind": ""}]}',
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(scene, text):
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "organs")
    node.SetAttribute("LiverMRISeg.Result", text)
    result = read_result(node)
    assert result.flags == ["what was said of this segmentation when it was made cannot be read: look at every outline"]
    assert (result.trust, result.volumes_ml) == ({}, {})


def test_what_was_accepted_and_undone_is_saved(host, bright_worker, panel, scene, reopen, tmp_path):
    volume = add_blocks(scene, "T1WI", np.s_[4:12, 4:20, 5:9], SPLEEN)
    folder = tmp_path / "work"
    node = accepted(scene, volume, folder, answered(folder), stamp_of(volume)).node
    panel.ui.inputSelector.setCurrentNode(volume)
    panel.ui.outputSelector.setCurrentNode(node)
    panel.ui.resultCollapsibleButton.collapsed = False
    panel.ui.resultTable.selectRow(0)
    host.click(panel.ui.againButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    host.click(panel.ui.acceptButton)
    now = read_result(node)
    assert (now.trust, now.made_ml["liver"]) == ({"spleen": 0.8}, pytest.approx(8 * 16 * 4 * 0.02, rel=1e-5))
    assert now.flags == [FLAGS[0], FLAGS[3]]
    host.click(panel.ui.undoButton)
    reopen()
    assert panel.ui.flagsLabel.text.split("\n") == SHOWN
    assert rows(panel.ui.resultTable)["liver"][3].text() == "touches the edge; check the outline"
