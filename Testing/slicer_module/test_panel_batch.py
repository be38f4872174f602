"""Batches in the panel, by real clicks: rows, tables, what waits for what, and what the log says."""

import csv

import pytest

from helpers.volumes import make_volume

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.panel import segment, segmentations
from helpers.scene_tools import add_blocks, add_flat, add_random
from helpers.waiting import SECONDS
from LiverMRISegScene import batch


def test_a_batch_and_a_single_run_wait_for_each_other(host, slow_worker, panel, scene, phantom):
    panel.ui.inputSelector.setCurrentNode(phantom)
    panel.ui.batchCollapsibleButton.collapsed = False
    host.click(panel.ui.batchListButton)
    host.click(panel.ui.batchRunButton)
    assert host.wait(lambda: panel.ui.progressBar.value >= 5, SECONDS)
    assert (panel.ui.segmentButton.text, panel.ui.segmentButton.enabled) == ("Segment", False)
    panel.run._clicked()  # a shortcut that comes in spite of it
    assert panel.batch.jobs[0].message != "cancelling"
    host.click(panel.ui.batchRunButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert [job.state for job in panel.batch.jobs] == ["cancelled"]
    segment(host, panel, wait=False)
    assert panel.ui.segmentButton.text == "Cancel"
    assert (panel.ui.batchRunButton.text, panel.ui.batchRunButton.enabled) == ("Run batch", False)
    host.click(panel.ui.segmentButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert panel.ui.batchRunButton.enabled


def test_a_batch_takes_organs_and_device_as_they_are_when_it_runs(host, panel, scene):
    import qt

    panel.ui.inputSelector.setCurrentNode(add_random(scene, "T1WI"))
    panel.ui.batchCollapsibleButton.collapsed = False
    host.click(panel.ui.batchListButton)
    items = [panel.ui.organList.item(n) for n in range(panel.ui.organList.count)]
    for item in items:
        item.setCheckState(qt.Qt.Unchecked)
    host.click(panel.ui.batchRunButton)
    assert not panel.queue.is_busy
    assert panel.ui.statusLabel.text == "Check at least one organ."
    items[0].setCheckState(qt.Qt.Checked)
    panel.ui.deviceSelector.setCurrentIndex(panel.ui.deviceSelector.findData("cpu"))
    host.click(panel.ui.batchRunButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    job = panel.batch.jobs[0]
    assert (job.device, list(job.result.volumes_ml)) == ("cpu", [items[0].text()])


def test_a_model_for_another_sequence_finds_only_the_organs_that_are_checked(host, bright_worker, panel, scene):
    panel.ui.inputSelector.setCurrentNode(add_random(scene, "T2WI"))
    add_random(scene, "T1WI")
    panel.ui.batchCollapsibleButton.collapsed = False
    host.click(panel.ui.batchListButton)
    host.click(panel.ui.batchRunButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    found = {job.model: list(job.result.volumes_ml) for job in panel.batch.jobs}
    assert found == {"liver-cps": ["liver"], "liver-any-sequence": ["liver"]}


def test_a_batch_of_four_with_a_bad_one(host, panel, scene, monkeypatch, tmp_path):
    import qt

    nodes = [add_random(scene, name) for name in ("T1WI", "GED2", "T2WI")]
    bad = add_flat(scene, "DWI")
    panel.ui.inputSelector.setCurrentNode(nodes[0])
    panel.ui.batchCollapsibleButton.collapsed = False
    host.click(panel.ui.batchListButton)
    assert panel.ui.batchTable.rowCount == 4
    host.click(panel.ui.batchRunButton)
    assert panel.ui.batchRunButton.text == "Cancel batch"
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    states = {job.name: job.state for job in panel.batch.jobs}
    assert states == {"T1WI": "done", "GED2": "done", "T2WI": "done", "DWI": "failed"}
    assert len(segmentations(scene)) == 3
    assert panel.ui.statusLabel.text == "Batch: 3 done, 1 failed."
    made = panel.batch.jobs[1].result
    panel.ui.outputSelector.setCurrentNode(made.node)
    assert panel.ui.flagsLabel.text.count("\u26a0") == len(made.flags) > 0
    panel.ui.outputSelector.setCurrentNode(None)
    assert "nothing to segment" in panel.ui.batchTable.item(3, 2).text()
    assert panel.ui.batchRunButton.text == "Run the rest"
    target = tmp_path / "batch.csv"
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", staticmethod(lambda *a: str(target)))
    host.click(panel.ui.batchExportButton)
    assert [row["state"] for row in csv.DictReader(target.open())] == ["done", "done", "done", "failed"]
    import slicer

    slicer.util.updateVolumeFromArray(bad, make_volume(size=(40, 36, 24)).array)
    host.click(panel.ui.batchRunButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert len(segmentations(scene)) == 4


def test_a_folder_is_a_batch_that_goes_on(host, panel, tmp_path, monkeypatch):
    import qt

    from LiverMRISegLib.io import write_volume

    (tmp_path / "in").mkdir()
    for name in ("p1_T1", "p1_T2"):
        write_volume(make_volume(size=(40, 36, 24)), tmp_path / "in" / f"{name}.nii.gz")
    panel.ui.batchCollapsibleButton.collapsed = False
    panel.ui.batchSource.setCurrentIndex(2)
    panel.ui.batchFolder.currentPath = str(tmp_path / "in")
    host.click(panel.ui.batchListButton)
    host.click(panel.ui.batchRunButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert panel.ui.statusLabel.text == "Batch: 2 done."  # though no volume of the scene is chosen
    results = tmp_path / "in" / "LiverMRISeg"
    assert sorted(p.name for p in results.iterdir()) == ["p1_T1_seg.seg.nrrd", "p1_T2_seg.seg.nrrd", "volumes.csv"]
    host.click(panel.ui.batchListButton)
    assert [job.state for job in panel.batch.jobs] == ["done before", "done before"]
    assert not panel.ui.batchRunButton.enabled
    first = list(csv.DictReader((results / "volumes.csv").open()))
    assert [job.model for job in panel.batch.jobs] == [row["model"] for row in first]
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", staticmethod(lambda *a: str(results / "volumes.csv")))
    host.click(panel.ui.batchExportButton)
    assert list(csv.DictReader((results / "volumes.csv").open())) == first
    write_volume(make_volume(size=(40, 36, 24)), tmp_path / "in" / "p2_T1.nii.gz")
    host.click(panel.ui.batchListButton)
    host.click(panel.ui.batchRunButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    rows = list(csv.DictReader((results / "volumes.csv").open()))
    assert [row["state"] for row in rows] == ["done"] * 3
    assert [row["liver mL"] for row in rows[:2]] == [row["liver mL"] for row in first]


def test_a_table_that_cannot_be_written_is_told(host, bright_worker, panel, tmp_path, monkeypatch):
    """As while a spreadsheet program has it open."""
    from LiverMRISegLib.errors import OutputError
    from LiverMRISegLib.io import write_volume
    from LiverMRISegPanel import batch_view

    def deny(path, _text):
        raise OutputError(f"{path}: cannot be written (it is open in another program)")

    write_volume(make_volume(size=(40, 36, 24)), tmp_path / "p1_T1.nii.gz")
    monkeypatch.setattr(batch_view, "atomic_write_text", deny)
    panel.ui.batchCollapsibleButton.collapsed = False
    panel.ui.batchSource.setCurrentIndex(2)
    panel.ui.batchFolder.currentPath = str(tmp_path)
    host.click(panel.ui.batchListButton)
    host.click(panel.ui.batchRunButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    said = panel.ui.statusLabel.text
    assert said.startswith("Batch: 1 done. The table was not written: ")
    assert said.endswith("cannot be written (it is open in another program).")


def test_the_folder_is_browsed_for_and_an_empty_one_is_refused(host, panel, tmp_path, monkeypatch):
    import qt

    from LiverMRISegLib.io import write_volume

    write_volume(make_volume(size=(8, 8, 8)), tmp_path / "p1_T1.nii.gz")
    panel.ui.batchCollapsibleButton.collapsed = False
    panel.ui.batchSource.setCurrentIndex(2)
    monkeypatch.chdir(tmp_path)
    host.click(panel.ui.batchListButton)
    assert panel.ui.statusLabel.text == "Choose a folder first."
    assert panel.batch.jobs == []
    assert not (tmp_path / "LiverMRISeg").exists()
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", staticmethod(lambda *a: str(tmp_path)))
    panel.ui.batchFolder.browse()
    host.click(panel.ui.batchListButton)
    assert [job.name for job in panel.batch.jobs] == ["p1_T1"]
    panel.ui.batchFolder.currentPath = ""
    panel.ui.batchFolder.retrieveHistory()
    assert panel.ui.batchFolder.currentPath == str(tmp_path)


def test_a_folder_that_cannot_be_read_is_told(host, panel, tmp_path, monkeypatch):
    def deny(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    panel.ui.batchCollapsibleButton.collapsed = False
    panel.ui.batchSource.setCurrentIndex(2)
    panel.ui.batchFolder.currentPath = str(tmp_path)
    monkeypatch.setattr(batch, "plan_cases", deny)
    host.click(panel.ui.batchListButton)
    assert panel.ui.statusLabel.text == f"{tmp_path}: cannot be read (Permission denied); check the folder"


def test_a_batch_is_listed_again_for_another_model(host, second_model, panel, scene):
    panel.ui.inputSelector.setCurrentNode(add_random(scene, "T1WI"))
    panel.ui.batchCollapsibleButton.collapsed = False
    host.click(panel.ui.batchListButton)
    names = [panel.ui.modelSelector.itemText(n) for n in range(panel.ui.modelSelector.count)]
    panel.ui.modelSelector.setCurrentIndex(names.index(second_model))
    host.click(panel.ui.batchRunButton)
    assert not panel.queue.is_busy
    assert "click List volumes again" in panel.ui.statusLabel.text
    host.click(panel.ui.batchListButton)
    host.click(panel.ui.batchRunButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert panel.batch.jobs[0].result.provenance["model"] == second_model


def test_no_name_of_a_folder_or_a_file_reaches_the_log(host, panel, tmp_path):
    from LiverMRISegLib.io import write_volume

    folder = tmp_path / "Mueller Anna" / "1970"
    folder.mkdir(parents=True)
    write_volume(make_volume(size=(40, 36, 24)), folder / "Anna_T1.nii.gz")
    content = (folder / "Anna_T1.nii.gz").read_bytes()
    (folder / "Anna_T1.nii.gz").write_bytes(content[: len(content) // 2])
    panel.ui.batchCollapsibleButton.collapsed = False
    panel.ui.batchSource.setCurrentIndex(2)
    panel.ui.batchFolder.currentPath = str(folder)
    host.click(panel.ui.batchListButton)
    host.click(panel.ui.batchRunButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert [job.state for job in panel.batch.jobs] == ["failed"]
    text = panel.ui.logText.toPlainText()
    assert "row 1, liver-any-sequence: failed, " in text
    assert "truncated" in text
    assert not any(name in text for name in ("Anna", "Mueller", "1970"))


def test_words_without_names(tmp_path):
    from LiverMRISegPanel.words import hidden

    folder = tmp_path / "Mueller Anna" / "1970"
    for told in (
        f"{folder}/Anna_0001.nii.gz: is damaged", "the first is Anna_0001.dcm;", "Anna: has no voxels",
        f"{folder}: cannot be read", "Anna_0001: has another grid", "/data/Anna/x y", "see C:\\Anna\\t2",
    ):  # fmt: skip
        said = hidden(told, [folder / "Anna_0000.nii.gz"], ["Anna"])
        assert not any(word in said for word in ("Anna", "Mueller", "1970")), said
    assert hidden("12.1 s, about 3 and/or 4", names=["1"]) == "12.1 s, about 3 and/or 4"


def test_volumes_of_a_patient_that_disagree_say_so_in_both_rows(host, bright_worker, panel, scene):
    """The third agrees with the first; what is not the patient's is not compared."""
    import numpy as np
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    patient = hierarchy.CreateSubjectItem(hierarchy.GetSceneItemID(), "patient")
    nodes = [add_blocks(scene, "T1WI", np.s_[2:thick, 4:30, 4:30]) for thick in (20, 8, 20)]
    for node in nodes:
        item = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(patient, node)
        hierarchy.SetItemParent(item, patient)
    add_blocks(scene, "of somebody else", np.s_[2:5, 4:30, 4:30])
    panel.ui.inputSelector.setCurrentNode(nodes[0])
    panel.ui.batchCollapsibleButton.collapsed = False
    host.click(panel.ui.batchListButton)
    assert [job.study is None for job in panel.batch.jobs] == [False, False, False, True]
    panel.ui.batchSource.setCurrentIndex(1)
    host.click(panel.ui.batchListButton)
    assert [job.case for job in panel.batch.jobs] == ["T1WI", "T1WI (2)", "T1WI (3)"]
    assert len({job.study for job in panel.batch.jobs}) == 1
    host.click(panel.ui.batchRunButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    said = [panel.ui.batchTable.item(row, 2).text() for row in range(3)]
    assert "liver disagrees with T1WI (2) (" in said[0]
    assert "liver disagrees with T1WI (" in said[1]
    assert "liver disagrees with T1WI (2) (" in said[2]
    assert "T1WI (3)" not in said[0]
    assert panel.ui.statusLabel.text.endswith("3 volumes disagree: see State.")
    assert "disagrees" in batch.as_csv(panel.batch.jobs)
