"""What was said of a segmentation (flags, trust) belongs to it: it is saved with the scene, and shown with it again."""

import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.panel import SECONDS, rows, segmentations
from helpers.scene_tools import add_blocks, add_random, draw
from helpers.sequence_nodes import add_sequence
from helpers.volumes import make_volume
from LiverMRISegLib.anatomy import LabelSet, organ_named
from LiverMRISegLib.inference.flag import EDGE, INPUT, NOT_FOUND, TRUST, Flag, to_parts
from LiverMRISegLib.inference.segmentation import Segmentation
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.volume import Volume
from LiverMRISegScene.frame_table import check_of
from LiverMRISegScene.over_time import OverTime, over_time_of
from LiverMRISegScene.results import accepted, stamp_of
from LiverMRISegScene.scene_result import read_result, write_result

SIZE = (40, 36, 24)
LIVER, SPLEEN = np.s_[4:12, 4:20, 5:20], np.s_[14:20, 20:30, 25:30]
FLAGS = [
    Flag('the file says "left; right: <b>50 %</b>" \u00fc', kind=INPUT), Flag("touches the edge", "liver", EDGE),
    Flag("has trust 0.60: check the outline", "liver", TRUST), Flag("was not found", "right kidney", NOT_FOUND),
]  # fmt: skip
SHOWN = [
    "Look at this organ first: liver (trust 0.60)", '\u26a0 the file says "left; right: <b>50 %</b>" \u00fc',
    "\u26a0 liver touches the edge", "\u26a0 liver has trust 0.60: check the outline",
    "\u26a0 right kidney was not found",
]  # fmt: skip


def reply(liver=LIVER):
    """What the worker answers, and the labels that it writes."""
    labels = np.zeros(SIZE[::-1], np.uint8)
    labels[liver], labels[SPLEEN] = 1, 4
    counted = {"liver": np.sum(labels == 1), "spleen": np.sum(labels == 4)}
    volumes = {organ: float(count) * 0.02 for organ, count in counted.items()}
    return labels, {
        "labels": {"liver": 1, "spleen": 4, "right kidney": 2}, "volumes_ml": {**volumes, "right kidney": 0.0},
        "flags": list(FLAGS), "flag_parts": to_parts(FLAGS), "trust": {"liver": 0.6, "spleen": 0.8}, "provenance": {},
    }  # fmt: skip


def answered(folder, **options):
    labels, said = reply(**options)
    folder.mkdir(exist_ok=True)
    write_volume(Volume(labels, make_volume(size=SIZE).geometry), folder / "labels.nrrd")
    return said


def made(scene, folder, name="Mueller^Anna T2WI"):
    """A segmentation as a run makes it, and its volume."""
    volume = add_random(scene, name)
    return accepted(scene, volume, folder, answered(folder), stamp_of(volume)).node, volume


@pytest.fixture
def reopen(scene, io_manager, tmp_path):
    """Saves the scene with its data, closes it, and opens it again."""

    def again():
        assert scene.WriteToMRB(str(tmp_path / "scene.mrb"))
        scene.Clear(0)
        assert scene.ReadFromMRB(str(tmp_path / "scene.mrb"), True)

    return again


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


@pytest.fixture
def dynamic(scene, tmp_path):
    """A run over three frames, of which the second failed."""
    sequence, browser = add_sequence(scene, [make_volume(size=SIZE, seed=n) for n in range(3)])
    run = OverTime(scene, sequence)
    for number, frame in enumerate(run.frames):
        if number == 1:
            run.fail(frame, "dynamic: there is nothing to segment")
            continue
        said = answered(tmp_path / "work", liver=np.s_[4 : 12 + number, 4:20, 5:20])
        run._stamps[frame] = stamp_of(frame.node)
        run.accept(frame, tmp_path / "work", said)
    return run.finish(), browser


def ml_of_liver(panel):
    """As the table shows it; empty while a frame without a result is shown."""
    found = rows(panel.ui.resultTable)
    return found["liver"][1].text() if "liver" in found else ""


def frame_column(result, name):
    values = result.table.GetTable().GetColumnByName(name)
    return [values.GetValue(row) for row in range(3)]


def test_a_sequence_brings_its_frames_table_and_chart(host, panel, scene, dynamic, reopen):
    result, browser = dynamic
    browser.SetSelectedItemNumber(0)
    panel.ui.outputSelector.setCurrentNode(result.shown)
    panel.ui.resultCollapsibleButton.collapsed = False
    reopen()
    browser = scene.GetNthNodeByClass(0, "vtkMRMLSequenceBrowserNode")
    again = panel.table.shown[1]
    assert [frame.number for frame in again.frames] == [1, 2, 3]
    assert (again.table.GetName(), again.chart.GetName()) == ("dynamic volumes", "dynamic volumes")
    assert panel.ui.chartButton.isVisible()
    assert panel.ui.flagsLabel.text.split("\n") == SHOWN
    browser.SetSelectedItemNumber(1)
    said = "\u26a0 dynamic: there is nothing to segment"
    assert host.wait(lambda: panel.ui.flagsLabel.text == said, SECONDS)
    browser.SetSelectedItemNumber(2)
    assert host.wait(lambda: ml_of_liver(panel) == "48.0", SECONDS)
    volume = browser.GetProxyNode(browser.GetMasterSequenceNode())
    draw(panel.table.node, "liver", np.indices(SIZE[::-1])[2] < 3, volume)
    assert host.wait(lambda: rows(panel.ui.resultTable)["liver"][3].text() == "edited; touches the edge", SECONDS)
    assert frame_column(again, "liver mL")[2] == pytest.approx(3 * 36 * 24 * 0.02, rel=1e-5)
    assert "edited since" in check_of(again.table, 3)


def test_a_stroke_reaches_the_row_of_the_frame_that_was_left(host, panel, scene, dynamic):
    """Another frame, or another segmentation, is chosen before the strokes have paused."""
    import slicer

    result, browser = dynamic
    scaled = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "scaled")
    scaled.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.diag([2.0, 1.0, 1.0, 1.0])))
    volume = browser.GetProxyNode(browser.GetMasterSequenceNode())
    for node in (result.shown, volume):
        node.SetAndObserveTransformNodeID(scaled.GetID())
    browser.SetSelectedItemNumber(0)
    panel.table.show_over_time(result)
    panel.ui.outputSelector.setCurrentNode(result.shown)
    before = frame_column(result, "liver mL")[2]
    draw(result.shown, "liver", np.indices(SIZE[::-1])[2] < 3, volume)
    browser.SetSelectedItemNumber(2)
    assert host.wait(lambda: panel.table._frame == 3, SECONDS)
    assert frame_column(result, "liver mL")[::2] == [pytest.approx(2 * 3 * 36 * 24 * 0.02, rel=1e-5), before]
    assert "liver touches the edge (edited since)" in check_of(result.table, 1)
    draw(result.shown, "liver", np.indices(SIZE[::-1])[2] < 5, volume)
    panel.ui.outputSelector.setCurrentNode(scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "another"))
    assert frame_column(result, "liver mL")[2] == pytest.approx(2 * 5 * 36 * 24 * 0.02, rel=1e-5)


def test_an_organ_of_a_frame_that_was_segmented_again(host, bright_worker, panel, scene, dynamic):
    """The table goes on to follow the browser, and a result is put into its own frame, whichever is shown meanwhile."""
    result, browser = dynamic
    browser.SetSelectedItemNumber(0)
    volume = browser.GetProxyNode(browser.GetMasterSequenceNode())
    panel.ui.inputSelector.setCurrentNode(volume)
    panel.ui.outputSelector.setCurrentNode(result.shown)
    panel.ui.resultCollapsibleButton.collapsed = False
    panel.ui.resultTable.selectRow(0)
    host.click(panel.ui.againButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    browser.SetSelectedItemNumber(2)
    host.click(panel.ui.acceptButton)
    assert browser.GetSelectedItemNumber() == 0
    ml = rows(panel.ui.resultTable)["liver"][1].text()
    assert ml != "38.4"
    assert f"{frame_column(result, 'liver mL')[0]:.1f}" == ml
    assert "liver" not in check_of(result.table, 1)
    browser.SetSelectedItemNumber(2)
    assert host.wait(lambda: ml_of_liver(panel) == "48.0", SECONDS)
    browser.SetSelectedItemNumber(0)
    assert host.wait(lambda: ml_of_liver(panel) == ml, SECONDS)
    assert rows(panel.ui.resultTable)["liver"][2].text() == ""
    browser.SetSelectedItemNumber(1)
    host.click(panel.ui.undoButton)
    assert browser.GetSelectedItemNumber() == 0
    assert rows(panel.ui.resultTable)["liver"][1].text() == "38.4"
    assert frame_column(result, "liver trust")[0] == 0.6


def test_a_table_that_was_removed_does_not_take_the_frames_with_it(panel, scene, dynamic):
    result, browser = dynamic
    browser.SetSelectedItemNumber(0)
    for node in (result.table, result.chart):
        scene.RemoveNode(node)
    found = over_time_of(result.shown)
    assert (found.table, found.chart) == (None, None)
    panel.ui.outputSelector.setCurrentNode(result.shown)
    panel.table.refresh()
    assert panel.ui.flagsLabel.text.split("\n") == SHOWN
    assert json.loads(result.shown.GetAttribute("LiverMRISeg.Result"))["trust"] == {"liver": 0.6, "spleen": 0.8}
    assert over_time_of(browser.GetProxyNode(browser.GetMasterSequenceNode())) is None
