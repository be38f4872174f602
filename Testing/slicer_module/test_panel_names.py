"""Names by clicks: volumes, segments and results that are renamed during and after a run, or have one name."""

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.panel import rows, segment, segmentations
from helpers.scene_tools import add_blocks
from helpers.sequence_nodes import add_sequence
from helpers.waiting import SECONDS
from LiverMRISegScene.segment_editor import source_volume
from LiverMRISegScene.volumes import volume_of

LIVER, LESS, SPLEEN = np.s_[4:12, 4:20, 5:20], np.s_[4:12, 4:20, 5:10], np.s_[14:20, 20:30, 25:30]
LIVER_ML, LESS_ML = "38.4", "12.8"
HELD = "held"  # and after half a second the time left


def ml(panel, name):
    return rows(panel.ui.resultTable)[name][1].text()


def names(scene):
    return [node.GetName() for node in segmentations(scene)]


@pytest.fixture
def two(scene):
    """Two volumes of one name, whose livers are not of one size."""
    return add_blocks(scene, "T1WI", LIVER, SPLEEN), add_blocks(scene, "T1WI", LESS, SPLEEN)


def test_a_volume_that_is_renamed_while_it_is_segmented(host, held_worker, panel, scene):
    volume = add_blocks(scene, "series 7", LIVER, SPLEEN)
    held_worker.begin()
    segment(host, panel, volume, wait=False)
    assert host.wait(lambda: panel.ui.statusLabel.text.startswith(HELD), SECONDS)
    volume.SetName("M\u00fcller^\u00c4nne T1WI")
    held_worker.end()
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert names(scene) == ["M\u00fcller^\u00c4nne T1WI organs"]
    assert panel.ui.outputSelector.currentNode() is segmentations(scene)[0]
    assert "M\u00fcller" not in panel.ui.logText.toPlainText()


def test_segments_of_one_name_in_another_language(host, bright_worker, panel, scene, reopen):
    segment(host, panel, add_blocks(scene, "T1WI", LIVER, SPLEEN))
    inner = segmentations(scene)[0].GetSegmentation()
    for number in range(inner.GetNumberOfSegments()):
        inner.GetNthSegment(number).SetName("\u81d3\u5668")
    segment(host, panel)
    host.click(panel.ui.acceptButton)
    assert [inner.GetNthSegment(n).GetName() for n in range(2)] == ["\u81d3\u5668"] * 2
    panel.ui.measureCollapsibleButton.collapsed = False
    host.click(panel.ui.measureButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert list(rows(panel.ui.measureTable)) == ["\u81d3\u5668", "\u81d3\u5668 (2)"]
    shown = panel.table.as_text(",").split("\n")[1:3]
    reopen()
    assert panel.table.as_text(",").split("\n")[1:3] == shown == [f"\u81d3\u5668,{LIVER_ML},,", "\u81d3\u5668,6.0,,"]


def test_the_result_of_another_volume_is_not_replaced(host, bright_worker, panel, scene, two):
    """Neither where both have one name, nor by "Discard" of a question that nobody expects."""
    from PySide6 import QtCore, QtTest

    panel.ui.inputSelector.setCurrentNode(two[0])
    for volume, expected in zip(two, (LIVER_ML, LESS_ML), strict=True):
        assert panel.ui.inputSelector.currentNode() is volume
        segment(host, panel)
        assert not panel.run.accepting.is_asking
        assert ml(panel, "liver") == expected
        QtTest.QTest.keyClick(panel.ui.inputSelector._box, QtCore.Qt.Key.Key_Down)  # the next one, as a person does
    first, second = segmentations(scene)
    assert [source_volume(node) for node in (first, second)] == list(two)
    assert first.GetName() == "T1WI organs" != second.GetName()
    panel.ui.outputSelector.setCurrentNode(first)  # after the volume: it is meant
    segment(host, panel)
    said = "Replace the organs in 'T1WI organs' with the new ones? It was made from another volume, 'T1WI'."
    assert panel.ui.acceptLabel.text == said
    host.click(panel.ui.discardButton)
    assert ml(panel, "liver") == LIVER_ML


def test_a_result_stays_chosen_with_its_own_volume(host, bright_worker, panel, scene, two):
    segment(host, panel, two[0])
    [node] = segmentations(scene)
    two[0].SetName("renamed")
    assert panel.ui.outputSelector.currentNode() is node
    by_hand = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", "by hand")
    panel.ui.outputSelector.setCurrentNode(by_hand)
    panel.ui.inputSelector.setCurrentNode(two[1])
    assert panel.ui.outputSelector.currentNode() is by_hand  # it belongs to no other volume
    segment(host, panel)
    assert panel.ui.acceptLabel.text == "Replace the organs in 'by hand' with the new ones?"


def test_results_of_one_volume_have_names_of_their_own(host, bright_worker, panel, scene, two):
    for _ in range(2):
        panel.ui.outputSelector.setCurrentNode(None)
        segment(host, panel, two[0])
    assert len(set(names(scene))) == 2
    sequence, browser = add_sequence(scene, [volume_of(node) for node in two])
    for _ in range(2):
        segment(host, panel, sequence)
        sequence.SetName("renamed")
        browser.GetProxyNode(sequence).SetName("renamed too")
    found = [node for node in segmentations(scene) if source_volume(node) is browser.GetProxyNode(sequence)]
    assert len({node.GetName() for node in found}) == 2
    for kind, count in (("vtkMRMLTableNode", 2), ("vtkMRMLPlotChartNode", 2), ("vtkMRMLSequenceNode", 3)):
        nodes = [scene.GetNthNodeByClass(n, kind) for n in range(scene.GetNumberOfNodesByClass(kind))]
        assert len({node.GetName() for node in nodes}) == len(nodes) == count
