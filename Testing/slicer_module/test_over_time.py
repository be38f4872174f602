"""Sequences of volumes (4D): all frames in one run, in step in the browser, with a table and a curve over time."""

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.panel import rows
from helpers.scene_tools import WaitingWorker, add_flat, add_random, draw
from helpers.sequence_nodes import add_sequence
from helpers.volumes import make_volume
from helpers.waiting import SECONDS
from LiverMRISegLib.errors import CancelledError, InputError
from LiverMRISegLib.inference.flag import EDGE, TRUST, Flag
from LiverMRISegLib.inference.progress import CancelToken
from LiverMRISegLib.volume import Volume
from LiverMRISegScene.frame_table import add_table
from LiverMRISegScene.logic import SceneLogic
from LiverMRISegScene.segment_volumes import segment_volumes
from LiverMRISegScene.sequences import find_browser
from LiverMRISegScene.volumes import add_volume

SIZE = (40, 36, 24)


def volumes_of(count, bad=()):
    made = [make_volume(size=SIZE, seed=n) for n in range(count)]
    return [Volume(np.full_like(v.array, 7), v.geometry) if n in bad else v for n, v in enumerate(made)]


@pytest.fixture
def logic(host, scene, tiny_package):
    """The console's, whose worker answers at once."""
    logic = SceneLogic(scene, WaitingWorker())
    yield logic
    logic.close()


@pytest.fixture
def options(tiny_package):
    return {"model": str(tiny_package), "device": "cpu"}


def column(table, name):
    values = table.GetTable().GetColumnByName(name)
    return [values.GetValue(row) for row in range(table.GetTable().GetNumberOfRows())]


def total(node):
    return sum(row.ml for row in segment_volumes(node))


def test_every_frame_is_in_step_in_the_same_browser(scene, logic, options):
    sequence, browser = add_sequence(scene, volumes_of(4))
    result = logic.segment_sequence(sequence, **options)
    assert result.browser is browser
    assert scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode") == 1
    assert [result.sequence.GetNthIndexValue(n) for n in range(4)] == ["0", "2.5", "5", "7.5"]
    assert (result.sequence.GetIndexName(), result.sequence.GetIndexUnit()) == ("time", "s")
    alone = logic.segment(browser.GetProxyNode(sequence), **options)
    assert alone.volumes_ml == next(iter(result.frames.values())).volumes_ml
    for number, found in enumerate(result.frames.values()):
        browser.SetSelectedItemNumber(number)
        assert browser.GetProxyNode(result.sequence) is result.shown
        assert total(result.shown) == pytest.approx(sum(found.volumes_ml.values()), rel=1e-5)
        assert result.current.volumes_ml == found.volumes_ml


@pytest.mark.parametrize("is_back", [False, True])
def test_a_volume_that_shows_another_frame_meanwhile_gets_no_result_of_the_first(scene, logic, options, is_back):
    sequence, browser = add_sequence(scene, volumes_of(2))
    shown = browser.GetProxyNode(sequence)

    def browse(_text, done):
        browser.SetSelectedItemNumber(1 if not is_back or done < 0.5 else 0)

    if is_back:
        assert logic.segment(shown, progress=browse, **options).node is not None
    else:
        with pytest.raises(InputError, match="changed while it was being segmented"):
            logic.segment(shown, progress=browse, **options)


def test_a_frame_that_changes_meanwhile_gets_no_result(scene, logic, options):
    import slicer

    sequence, _ = add_sequence(scene, volumes_of(2))

    def edit(text, done):
        if text.startswith("frame 1") and done < 0.3:
            slicer.util.updateVolumeFromArray(sequence.GetNthDataNode(0), make_volume(size=SIZE, seed=9).array)

    found = list(logic.segment_sequence(sequence, progress=edit, **options).frames.values())
    assert [result.error for result in found] == [
        "dynamic: changed while it was being segmented; segment it again", "",
    ]  # fmt: skip


def test_an_index_of_small_steps_and_one_that_is_no_number(scene, logic, options):
    import slicer

    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "fast")
    sequence.SetNumericIndexValueTolerance(1e-6)
    for n, volume in enumerate(volumes_of(3)):
        node = add_volume(scene, volume, "fast")
        sequence.SetDataNodeAtValue(node, f"{n * 0.0004:g}")
        scene.RemoveNode(node)
    result = logic.segment_sequence(sequence, **options)
    assert [result.sequence.GetNthIndexValue(n) for n in range(3)] == ["0", "0.0004", "0.0008"]
    named = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "named")  # Slicer takes its index for numbers, its default
    named.SetDataNodeAtValue(slicer.util.getNode("fast"), "arterial")
    table = logic.segment_sequence(named, **options).table
    assert table.GetTable().GetColumn(1).GetValue(0) == "arterial"


def test_a_table_and_a_curve(scene, logic, options):
    sequence, _ = add_sequence(scene, volumes_of(3))
    result = logic.segment_sequence(sequence, **options)
    assert column(result.table, "frame") == [1, 2, 3]
    assert column(result.table, "time [s]") == [0.0, 2.5, 5.0]
    for organ in next(iter(result.frames.values())).volumes_ml:
        expected = [found.volumes_ml[organ] for found in result.frames.values()]
        assert column(result.table, f"{organ} mL") == pytest.approx(expected)
    series = [result.chart.GetNthPlotSeriesNode(n) for n in range(result.chart.GetNumberOfPlotSeriesNodes())]
    assert [s.GetYColumnName() for s in series] == [f"{s.GetName()} mL" for s in series]
    assert {s.GetXColumnName() for s in series} == {"time [s]"}
    assert {s.GetTableNodeID() for s in series} == {result.table.GetID()}
    drawn = segment_volumes(result.shown)[0]
    segment = result.shown.GetSegmentation().GetSegment(drawn.segment_id)
    assert [s.GetColor() for s in series if s.GetName() == drawn.key] == [segment.GetColor()]


def test_a_frame_that_fails_is_told_and_shows_nothing(scene, logic, options):
    sequence, browser = add_sequence(scene, volumes_of(3, bad=[1]))
    result = logic.segment_sequence(sequence, **options)
    assert math.isnan(column(result.table, "liver mL")[1])
    assert column(result.table, "check")[1].startswith("dynamic: all voxels have the value 7")
    assert result.sequence.GetNumberOfDataNodes() == 2
    browser.SetSelectedItemNumber(0)
    assert total(result.shown) > 0
    browser.SetSelectedItemNumber(1)
    assert total(result.shown) == 0
    assert "nothing to segment" in result.current.flags[0]
    browser.SetSelectedItemNumber(2)
    assert total(result.shown) > 0
    assert logic.segment_batch([sequence], **options)[0].flags[0].startswith("frame 2: ")


def test_a_cancel_keeps_the_finished_frames(scene, logic, options):
    sequence, browser = add_sequence(scene, volumes_of(4))
    token = CancelToken()
    seen = []

    def progress(text, done):
        seen.append((text, done))
        if done > 0.5:
            token.cancel()

    result = logic.segment_sequence(sequence, progress=progress, cancel=token, **options)
    assert 1 <= len(result.frames) < 4
    assert seen[0][0].startswith("frame 1 of 4: ")
    assert [done for _, done in seen] == sorted(done for _, done in seen)
    browser.SetSelectedItemNumber(3)
    assert total(result.shown) == 0
    assert result.current.flags == ["this frame was not segmented"]
    token = CancelToken()
    token.cancel()
    before = scene.GetNumberOfNodes()
    with pytest.raises(CancelledError):
        logic.segment_sequence(sequence, cancel=token, **options)
    assert scene.GetNumberOfNodes() == before


def test_what_is_edited_in_a_frame_is_kept_in_the_sequence(scene, logic, options):
    sequence, browser = add_sequence(scene, volumes_of(3))
    result = logic.segment_sequence(sequence, **options)
    browser.SetSelectedItemNumber(1)
    others = [total(result.sequence.GetNthDataNode(n)) for n in (0, 2)]
    segment_id = segment_volumes(result.shown)[0].segment_id
    draw(result.shown, segment_id, np.indices(SIZE[::-1])[2] < 3, browser.GetProxyNode(sequence))
    edited = segment_volumes(result.shown)[0].ml
    browser.SetSelectedItemNumber(2)
    browser.SetSelectedItemNumber(1)
    assert segment_volumes(result.shown)[0].ml == edited == pytest.approx(3 * 36 * 24 * 0.02, rel=1e-5)
    assert [total(result.sequence.GetNthDataNode(n)) for n in (0, 2)] == others


def test_what_was_said_of_a_frame_goes_once_it_is_edited(host, panel, scene, logic, options):
    sequence, browser = add_sequence(scene, volumes_of(1) * 3)
    result = logic.segment_sequence(sequence, **options)
    drawn = segment_volumes(result.shown)[0]
    flags = [Flag("has trust 0.60", drawn.key, TRUST), Flag("touches the edge", drawn.key, EDGE)]
    frames = {
        frame: replace(found, flags=[*flags, Flag(f"frame {frame.number}")], trust={drawn.key: 0.6, "another": 0.7})
        for frame, found in result.frames.items()
    }
    table = add_table(scene, sequence, frames)
    browser.SetSelectedItemNumber(1)
    panel.table.show_over_time(replace(result, frames=frames, table=table))
    draw(result.shown, drawn.segment_id, np.indices(SIZE[::-1])[2] < 3, browser.GetProxyNode(sequence))
    assert host.wait(lambda: rows(panel.ui.resultTable)[drawn.key][3].text() == "edited; touches the edge", SECONDS)
    assert column(table, "check")[1] == f"{drawn.key} touches the edge (edited since); frame 2"
    assert [math.isnan(score) for score in column(table, f"{drawn.key} trust")] == [False, True, False]
    assert column(table, "another trust") == [0.7] * 3
    for number in (1, 2):  # their volumes are the same
        browser.SetSelectedItemNumber(number - 1)
        assert host.wait(lambda shown=f"frame {number}": shown in panel.ui.flagsLabel.text, SECONDS)
    assert rows(panel.ui.resultTable)[drawn.key][3].text() == "edited; touches the edge"


def test_under_a_transform_and_without_a_browser(scene, logic, options):
    import slicer

    sequence, browser = add_sequence(scene, volumes_of(2))
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    transform.SetMatrixTransformToParent(slicer.util.vtkMatrixFromArray(np.diag([-1.0, -1.0, 1.0, 1.0])))
    browser.GetProxyNode(sequence).SetAndObserveTransformNodeID(transform.GetID())
    result = logic.segment_sequence(sequence, **options)
    assert result.shown.GetTransformNodeID() == transform.GetID()
    moved = logic.segment(browser.GetProxyNode(sequence), **options)
    assert next(iter(result.frames.values())).volumes_ml == moved.volumes_ml
    alone = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "alone")
    alone.SetDataNodeAtValue(add_random(scene, "x"), "a")
    alone.SetIndexType(alone.TextIndex)
    assert find_browser(scene, alone) is None
    made = logic.segment_sequence(alone, **options)
    assert find_browser(scene, made.sequence) is find_browser(scene, alone) is made.browser
    assert made.chart.GetNthPlotSeriesNode(0).GetXColumnName() == "frame"


def test_what_is_no_sequence_of_volumes(scene, logic, options):
    empty = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "empty")
    with pytest.raises(InputError, match="empty: is an empty sequence; load it again"):
        logic.segment_sequence(empty, **options)
    empty.SetDataNodeAtValue(scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "t"), "0")
    with pytest.raises(InputError, match="is not a sequence of volumes"):
        logic.segment_sequence(empty, **options)
    hollow = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "hollow")
    hollow.SetDataNodeAtValue(scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "no voxels"), "0")
    with pytest.raises(InputError, match="no voxels: has no voxels; load the volume again"):
        logic.segment_sequence(hollow, **options)
    flat = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "flat")
    flat.SetDataNodeAtValue(add_flat(scene, "x"), "0")
    with pytest.raises(InputError, match="nothing to segment"):
        logic.segment_sequence(flat, **options)


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
