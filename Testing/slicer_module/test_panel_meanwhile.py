"""What a user does by clicks while something runs: a model is removed or comes, the scene is closed."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.packages import random_weights, tiny_spec
from helpers.panel import segment, segmentations
from helpers.scene_tools import add_blocks, add_flat
from helpers.sequence_nodes import add_sequence
from helpers.waiting import SECONDS
from LiverMRISegLib.io import write_volume
from LiverMRISegLib.models.package.model_package import save_package
from LiverMRISegScene.volumes import volume_of

LIVER, SPLEEN = np.s_[4:12, 4:20, 5:20], np.s_[14:20, 20:30, 25:30]


def add_three(scene, name="series 7"):
    return [add_blocks(scene, name, LIVER, SPLEEN) for _ in range(3)]


def column(panel, number):
    table = panel.ui.batchTable
    return [table.item(row, number).text() for row in range(table.rowCount)]


def run_batch(host, panel, held_worker):
    """List and run, and wait for the middle of the first volume."""
    panel.ui.batchCollapsibleButton.collapsed = False
    host.click(panel.ui.batchListButton)
    assert panel.ui.statusLabel.text == "Volumes listed: 3."
    held_worker.begin()
    host.click(panel.ui.batchRunButton)
    assert host.wait(lambda: "held" in column(panel, 2)[0], SECONDS)


def finish(host, panel, held_worker):
    held_worker.end()
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)


def choose(panel, model):
    panel.ui.modelSelector.setCurrentIndex(panel.ui.modelSelector.findData(model))
    panel.picker._chosen(0)


def remove(host, panel, model):
    """Click Remove; what is said."""
    table = panel.ui.modelTable
    panel.ui.maintenanceCollapsibleButton.collapsed = False
    table.selectRow([table.item(row, 0).text() for row in range(table.rowCount)].index(model))
    host.click(panel.ui.removeModelButton)
    return panel.ui.checkText.toPlainText()


def test_a_model_in_use_is_not_removed(host, second_model, held_worker, panel, scene):
    """Another one could take its name, and make the rest of the batch."""
    volumes = add_three(scene)
    panel.ui.inputSelector.setCurrentNode(volumes[0])
    choose(panel, second_model)
    run_batch(host, panel, held_worker)
    before = len(host.dialogs.shown)
    assert remove(host, panel, second_model) == "my-liver is in use; wait for the run to finish or cancel it."
    assert len(host.dialogs.shown) == before
    finish(host, panel, held_worker)
    assert panel.ui.statusLabel.text == "Batch: 3 done."
    assert column(panel, 0) == ["series 7", "series 7 (2)", "series 7 (3)"]
    held_worker.begin()
    segment(host, panel, volumes[0], wait=False)
    assert "is in use" in remove(host, panel, second_model)
    host.click(panel.ui.segmentButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    held_worker.end()
    assert remove(host, panel, second_model) == "Removed my-liver."
    assert panel.picker.offer.entry.name == "liver-any-sequence"


def test_models_come_and_go_by_other_hands_during_a_batch(
    host, second_model, held_worker, panel, scene, monkeypatch, tmp_path
):
    """Those rows fail that it leaves without their model; once it is there again, they can be run."""
    import qt

    panel.ui.inputSelector.setCurrentNode(add_three(scene)[0])
    choose(panel, second_model)
    run_batch(host, panel, held_worker)
    shutil.move(tmp_path / "models" / second_model, tmp_path / "aside")
    spec = replace(tiny_spec("another"), sequences=("T2WI",))
    package = save_package(spec, random_weights(spec), tmp_path / "another.zip")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", staticmethod(lambda *a: str(package)))
    panel.ui.maintenanceCollapsibleButton.collapsed = False
    host.click(panel.ui.importModelButton)
    assert panel.ui.checkText.toPlainText() == "Imported another."
    finish(host, panel, held_worker)
    assert panel.ui.statusLabel.text == "Batch: 1 done, 2 failed."
    assert "my-liver: no model has this name" in column(panel, 2)[2]
    host.click(panel.ui.batchRunButton)
    assert panel.ui.statusLabel.text == "The model has changed; click List volumes again."
    shutil.move(tmp_path / "aside", tmp_path / "models" / second_model)
    panel.enter()
    host.click(panel.ui.batchRunButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert panel.ui.statusLabel.text == "Batch: 3 done."


def test_a_batch_of_files_goes_on_when_the_scene_is_closed(host, held_worker, panel, scene, tmp_path):
    (tmp_path / "in").mkdir()
    for number, node in enumerate(add_three(scene)):
        write_volume(volume_of(node), tmp_path / "in" / f"T1_{number}.nrrd")
    panel.ui.batchSource.setCurrentIndex(2)
    panel.ui.batchFolder.currentPath = str(tmp_path / "in")
    run_batch(host, panel, held_worker)
    scene.Clear(0)
    assert panel.queue.is_busy
    assert (panel.ui.batchRunButton.text, panel.ui.segmentButton.enabled) == ("Cancel batch", False)
    finish(host, panel, held_worker)
    assert panel.ui.statusLabel.text == "Batch: 3 done."
    assert len(list((tmp_path / "in" / "LiverMRISeg").glob("*.seg.nrrd"))) == 3
    scene.Clear(0)
    assert panel.ui.batchTable.rowCount == 0


def logged(panel, number):
    """How often the log says that a row of a batch, or a frame, has ended."""
    return panel.ui.logText.toPlainText().count(f"{number}, liver-any-sequence: ")


def test_the_log_tells_each_case_as_it_ends(host, held_worker, panel, scene, tmp_path):
    """Also whether it was cancelled; and once."""
    (tmp_path / "in").mkdir()
    nodes = [add_flat(scene, "DWI"), *add_three(scene)]
    for number, node in enumerate(nodes):
        write_volume(volume_of(node), tmp_path / "in" / f"T1_{number}.nrrd")
    panel.ui.batchCollapsibleButton.collapsed = False
    panel.ui.batchSource.setCurrentIndex(2)
    panel.ui.batchFolder.currentPath = str(tmp_path / "in")
    host.click(panel.ui.batchListButton)
    held_worker.begin()
    host.click(panel.ui.batchRunButton)
    assert host.wait(lambda: "held" in column(panel, 2)[1], SECONDS)
    assert [logged(panel, f"row {row}") for row in (1, 2, 3, 4)] == [1, 0, 0, 0]
    host.click(panel.ui.batchRunButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert [logged(panel, f"row {row}") for row in (1, 2, 3, 4)] == [1, 1, 1, 1]
    assert "Batch: 1 failed, 3 cancelled" in panel.ui.logText.toPlainText()


def test_the_log_tells_each_frame_as_it_ends(host, held_worker, panel, scene):
    volumes = [volume_of(node) for node in (add_flat(scene, "flat"), *add_three(scene)[:2])]
    sequence, _browser = add_sequence(scene, volumes)
    held_worker.begin()
    segment(host, panel, sequence, wait=False)
    assert host.wait(lambda: "held" in panel.ui.statusLabel.text, SECONDS)
    assert [logged(panel, f"frame {frame}") for frame in (1, 2, 3)] == [1, 0, 0]
    finish(host, panel, held_worker)
    assert [logged(panel, f"frame {frame}") for frame in (1, 2, 3)] == [1, 1, 1]


def test_another_result_is_looked_at_while_a_newer_one_is_made(host, held_worker, panel, scene):
    """Discarded, the one that is looked at stays, with its own volumes."""
    first, second = (add_three(scene, name)[0] for name in ("first", "second"))
    segment(host, panel, first)
    older = panel.table.node
    segment(host, panel, second)
    other = panel.table.node
    panel.ui.inputSelector.setCurrentNode(first)
    panel.ui.outputSelector.setCurrentNode(older)
    held_worker.begin()
    segment(host, panel, wait=False)
    assert host.wait(lambda: "held" in panel.ui.statusLabel.text, SECONDS)
    panel.ui.outputSelector.setCurrentNode(other)
    assert panel.table.node is other
    finish(host, panel, held_worker)
    host.click(panel.ui.discardButton)
    assert panel.table.node is panel.ui.outputSelector.currentNode() is other


def test_a_volume_that_is_renamed_meanwhile(host, held_worker, panel, scene):
    """Its result has its name as it is then, and the log neither that nor the one it had."""
    volume = add_three(scene, "Anna")[0]
    held_worker.begin()
    segment(host, panel, volume, wait=False)
    assert host.wait(lambda: "held" in panel.ui.statusLabel.text, SECONDS)
    volume.SetName("Berta")
    finish(host, panel, held_worker)
    assert panel.table.node.GetName() == "Berta organs"
    assert not any(name in panel.ui.logText.toPlainText() for name in ("Anna", "Berta"))


def test_a_volume_that_is_removed_meanwhile(host, held_worker, panel, scene):
    """How the run has ended is said, and not only that another volume is to be chosen."""
    volume = add_three(scene)[0]
    held_worker.begin()
    segment(host, panel, volume, wait=False)
    assert host.wait(lambda: "held" in panel.ui.statusLabel.text, SECONDS)
    scene.RemoveNode(volume)
    finish(host, panel, held_worker)
    said = panel.ui.statusLabel.text
    assert said == "Failed: series 7: was removed from the scene before it was segmented"
    assert not panel.ui.segmentButton.enabled
    panel.ui.inputSelector.setCurrentNode(add_three(scene, "other")[0])
    panel.ui.inputSelector.setCurrentNode(None)
    assert panel.ui.statusLabel.text == "Choose a volume."


def test_the_older_result_is_removed_while_it_is_asked_whether_to_replace_it(host, bright_worker, panel, scene):
    volume = add_three(scene)[0]
    segment(host, panel, volume)
    older = panel.table.node
    segment(host, panel, volume)
    assert panel.run.accepting.is_asking
    scene.RemoveNode(older)
    host.click(panel.ui.discardButton)
    assert panel.ui.statusLabel.text == "The new result was discarded. The older one was removed meanwhile."
    assert segmentations(scene) == []


def test_a_batch_of_the_scene_ends_with_it(host, held_worker, panel, scene):
    add_three(scene)
    run_batch(host, panel, held_worker)
    scene.Clear(0)
    assert (panel.queue.is_busy, panel.ui.batchTable.rowCount, panel.worker.process_id) == (False, 0, 0)
    assert panel.ui.statusLabel.text == "Choose a volume."
    scene.Clear(0)
    assert panel.ui.logText.toPlainText().count("The scene was closed") == 1
    held_worker.end()
    segment(host, panel, add_three(scene, "another")[0])
    assert [node.GetName() for node in segmentations(scene)] == ["another organs"]
