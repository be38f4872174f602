"""A run over a sequence, found again: frames, table and chart; frames without a result; parts that are removed."""

import json

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.panel import rows
from helpers.scene_tools import add_random, draw
from helpers.sequence_nodes import add_sequence
from helpers.told_results import SHOWN, SIZE, answered
from helpers.volumes import make_volume
from helpers.waiting import SECONDS
from LiverMRISegScene.frame_table import check_of
from LiverMRISegScene.over_time import OverTime, over_time_of
from LiverMRISegScene.results import stamp_of


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


def reach(host, browser, item, is_there):
    """Show a frame, and wait until the panel does."""
    browser.SetSelectedItemNumber(item)
    assert host.wait(is_there, SECONDS)


def test_what_is_drawn_in_a_frame_without_a_result_is_kept(host, panel, scene, dynamic, reopen):
    """Slicer takes back what is drawn in a frame that a sequence lacks, unless that gets a node when it is shown."""
    import slicer

    result, browser = dynamic
    panel.ui.outputSelector.setCurrentNode(result.shown)
    failed = "\u26a0 dynamic: there is nothing to segment"
    reach(host, browser, 1, lambda: panel.ui.flagsLabel.text == failed)
    assert result.shown.GetSegmentation().GetNumberOfSegments() == 0
    volume = browser.GetProxyNode(browser.GetMasterSequenceNode())
    panel.run._edit()
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    assert editor._logic.AddEmptySegment("liver", 0) == "liver"
    draw(result.shown, "liver", np.indices(SIZE[::-1])[2] < 3, volume)
    said = "\u26a0 drawn by hand: the model has no result of this frame"
    ml = f"{3 * 36 * 24 * 0.02:.1f}"
    assert host.wait(lambda: panel.ui.flagsLabel.text == said, SECONDS)
    assert [cell.text() for cell in rows(panel.ui.resultTable).popitem()[1]][1:] == [ml, "", ""]
    assert frame_column(result, "liver mL")[1] == pytest.approx(float(ml), rel=1e-3)
    assert np.isnan(frame_column(result, "spleen mL")[1])
    assert check_of(result.table, 2) == said[2:]
    reach(host, browser, 0, lambda: ml_of_liver(panel) == "38.4")
    reopen()
    browser = scene.GetNthNodeByClass(0, "vtkMRMLSequenceBrowserNode")
    assert ml_of_liver(panel) == "38.4"
    reach(host, browser, 1, lambda: panel.ui.flagsLabel.text == said)
    segmentation = panel.table.node.GetSegmentation()
    segmentation.RemoveSegment("liver")
    assert host.wait(lambda: panel.ui.flagsLabel.text == "\u26a0 this frame was not segmented", SECONDS)
    assert np.isnan(frame_column(panel.table.shown[1], "liver mL")[1])


def test_a_frame_without_a_result_takes_one(host, bright_worker, panel, scene, dynamic, reopen):
    result, browser = dynamic
    browser.SetSelectedItemNumber(1)
    panel.ui.inputSelector.setCurrentNode(browser.GetProxyNode(browser.GetMasterSequenceNode()))
    panel.ui.outputSelector.setCurrentNode(result.shown)
    host.click(panel.ui.segmentButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    host.click(panel.ui.acceptButton)
    ml = ml_of_liver(panel)
    assert float(ml) > 50
    assert f"{frame_column(result, 'liver mL')[1]:.1f}" == ml
    assert "nothing to segment" not in panel.ui.flagsLabel.text + check_of(result.table, 2)
    reach(host, browser, 0, lambda: ml_of_liver(panel) == "38.4")
    reach(host, browser, 1, lambda: ml_of_liver(panel) == ml)
    host.click(panel.ui.undoButton)
    assert panel.ui.flagsLabel.text == "\u26a0 this frame was not segmented"
    assert np.isnan(frame_column(result, "liver mL")[1])
    assert result.shown.GetAttribute("LiverMRISeg.Result") is None
    reopen()
    assert panel.ui.resultTable.rowCount == 0


def test_the_volumes_of_a_sequence_are_removed(host, panel, scene, dynamic):
    """The browser then counts the frames that have segmentations: the third frame is its second."""
    result, browser = dynamic
    panel.table.show_over_time(result)
    reach(host, browser, 0, lambda: ml_of_liver(panel) == "38.4")
    before = frame_column(result, "liver mL")[0]
    scene.RemoveNode(browser.GetMasterSequenceNode())
    reach(host, browser, 1, lambda: ml_of_liver(panel) == "48.0")
    assert "nothing to segment" not in panel.ui.flagsLabel.text
    draw(result.shown, "liver", np.indices(SIZE[::-1])[2] < 3, add_random(scene, "grid"))
    assert host.wait(lambda: ml_of_liver(panel) == "51.8", SECONDS)
    assert frame_column(result, "liver mL")[::2] == [before, pytest.approx(51.84, rel=1e-3)]
    assert over_time_of(result.shown).table is None  # whose rows have other numbers
    scene.RemoveNode(browser)
    draw(result.shown, "liver", np.indices(SIZE[::-1])[2] < 5, add_random(scene, "grid"))
    assert host.wait(lambda: ml_of_liver(panel) == "86.4", SECONDS)
    assert panel.table.shown[1] is None
    assert frame_column(result, "liver mL")[2] == pytest.approx(51.84, rel=1e-3)
