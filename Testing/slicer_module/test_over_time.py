"""Sequences of volumes (4D): all frames in one run, in step in the browser, with a table and a curve over time."""

import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.panel import rows
from helpers.scene_tools import WaitingWorker, add_flat, add_random, draw
from helpers.sequence_nodes import SIZE, add_sequence, column, volumes_of
from helpers.volumes import make_volume
from helpers.waiting import SECONDS
from LiverMRISegLib.errors import CancelledError, InputError
from LiverMRISegLib.inference.flag import EDGE, TRUST, Flag
from LiverMRISegLib.inference.progress import CancelToken
from LiverMRISegScene.frame_table import add_table
from LiverMRISegScene.logic import SceneLogic
from LiverMRISegScene.segment_volumes import segment_volumes
from LiverMRISegScene.sequences import find_browser
from LiverMRISegScene.volumes import add_volume


@pytest.fixture
def logic(host, scene, tiny_package):
    """The console's, whose worker answers at once."""
    logic = SceneLogic(scene, WaitingWorker())
    yield logic
    logic.close()


@pytest.fixture
def options(tiny_package):
    return {"model": str(tiny_package), "device": "cpu"}


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
