"""A sequence of volumes segmented by clicks in the panel."""

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.panel import rows
from helpers.scene_tools import draw
from helpers.sequence_nodes import SIZE, add_sequence, column, volumes_of
from helpers.waiting import SECONDS


@pytest.fixture
def dynamic(panel, scene):
    sequence, browser = add_sequence(scene, volumes_of(4, bad=[2]))
    scene.AddNewNodeByClass("vtkMRMLSequenceNode", "of transforms").SetDataNodeAtValue(
        scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "t"), "0"
    )
    panel.ui.inputSelector.setCurrentNode(sequence)
    return sequence, browser


def test_by_clicks_with_a_frame_that_fails(host, panel, scene, dynamic):
    import slicer

    sequence, browser = dynamic
    assert panel.ui.inputSelector.nodeCount() == 2  # the sequence, and the volume that shows its current frame
    assert not panel.ui.outputSelector.enabled
    seen = []
    panel.run.changed = lambda job, show=panel.run.changed: (show(job), seen.append(panel.ui.progressBar.value))
    host.click(panel.ui.segmentButton)
    assert panel.ui.statusLabel.text.startswith("frame 1 of 4: ")
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert "Done: 3 of 4 frames. 1 failed; frame 3: " in panel.ui.statusLabel.text
    assert seen == sorted(seen)
    first = panel.ui.resultTable.rowCount
    assert first > 0
    browser.SetSelectedItemNumber(2)
    assert host.wait(lambda: "nothing to segment" in panel.ui.flagsLabel.text, SECONDS)
    browser.SetSelectedItemNumber(3)
    fourth = list(panel.table.shown[1].frames.values())[3]
    assert host.wait(lambda: panel.table.shown[0].volumes_ml == fourth.volumes_ml, SECONDS)
    name, ml = next((name, ml) for name, ml in fourth.volumes_ml.items() if ml)
    assert rows(panel.ui.resultTable)[name][1].text() == f"{ml:.1f}"
    draw(panel.table.node, name.replace(" ", "_"), np.indices(SIZE[::-1])[2] < 5, browser.GetProxyNode(sequence))
    assert host.wait(lambda: rows(panel.ui.resultTable)[name][1].text() == f"{5 * 36 * 24 * 0.02:.1f}", SECONDS)
    assert column(panel.table.shown[1].table, f"{name} mL")[3] == pytest.approx(5 * 36 * 24 * 0.02, rel=1e-5)
    host.click(panel.ui.editButton)
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    assert editor.sourceVolumeNode() is browser.GetProxyNode(sequence)
    layout = scene.AddNewNodeByClass("vtkMRMLLayoutNode")
    layout.SetViewArrangement(layout.SlicerLayoutFourUpView)
    host.click(panel.ui.chartButton)
    assert layout.GetViewArrangement() == layout.SlicerLayoutFourUpPlotView


def test_a_cancel_by_click_keeps_the_finished_frames(host, panel, scene, dynamic):
    def stop(job, show=panel.run.changed):
        show(job)
        if job.frame.number == 2 and job.fraction > 0 and panel.ui.segmentButton.text == "Cancel":
            panel.ui.segmentButton.click()

    panel.run.changed = stop
    host.click(panel.ui.segmentButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    text = panel.ui.statusLabel.text
    assert text.startswith(("Cancelled: 1 of 4 frames are kept", "Cancelled: 2 of 4 frames are kept")), text
    assert panel.table.shown[1].sequence.GetNumberOfDataNodes() in (1, 2)


def test_closing_the_scene_in_the_middle(host, slow_worker, panel, scene, dynamic):
    host.click(panel.ui.segmentButton)
    assert host.wait(lambda: panel.ui.progressBar.value >= 1, SECONDS)
    scene.Clear(0)
    assert not panel.queue.is_busy
    assert panel.ui.statusLabel.text == "Choose a volume."
