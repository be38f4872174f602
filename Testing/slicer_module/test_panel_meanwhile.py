"""What a user does by clicks while something runs: a model is removed or comes, the scene is closed."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.packages import random_weights, tiny_spec
from helpers.panel import segment, segmentations
from helpers.scene_tools import add_blocks
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


def test_a_batch_of_the_scene_ends_with_it(host, held_worker, panel, scene):
    add_three(scene)
    run_batch(host, panel, held_worker)
    scene.Clear(0)
    assert (panel.queue.is_busy, panel.ui.batchTable.rowCount, panel.worker.process_id) == (False, 0, 0)
    assert panel.ui.statusLabel.text == "Choose a volume."
    held_worker.end()
    segment(host, panel, add_three(scene, "another")[0])
    assert [node.GetName() for node in segmentations(scene)] == ["another organs"]
