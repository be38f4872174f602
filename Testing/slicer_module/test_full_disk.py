"""A disk that is full, by clicks: it is said, nothing half-written is left, and with some space the panel works."""

import subprocess
import tempfile

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
FULL = "cannot be written (the disk is full; free some space)"


class SmallDisk:
    """A disk of a megabyte, which `fill` leaves no space on."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=True, capture_output=True)

    def fill(self):
        with (self.folder / "fill").open("wb", buffering=0) as file:
            while file.write(bytes(4096)) == 4096:
                pass

    def empty(self):
        (self.folder / "fill").unlink()

    def files(self):
        return sorted(str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.name != "fill")

    def close(self):
        subprocess.run(["umount", "-l", str(self.folder)], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path):
    try:
        made = SmallDisk(tmp_path / "models")  # where the panel's models are
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("of a full disk: no small one can be mounted here")
    yield made
    made.close()


def fill(disk):
    with pytest.raises(OSError, match="No space left"):
        disk.fill()


def test_for_the_files_of_a_run(host, disk, held_worker, panel, scene, monkeypatch):
    """Before the volume is written, and between it and its labels."""
    monkeypatch.setattr(tempfile, "tempdir", str(disk.folder))
    panel.ui.inputSelector.setCurrentNode(add_blocks(scene, "T1WI", LIVER, SPLEEN))
    fill(disk)
    host.click(panel.ui.segmentButton)
    assert FULL in panel.ui.statusLabel.text
    assert disk.files() == []
    disk.empty()
    held_worker.begin()
    segment(host, panel, wait=False)
    assert host.wait(lambda: panel.ui.statusLabel.text.startswith("held"), SECONDS)
    fill(disk)
    held_worker.end()
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert FULL in panel.ui.statusLabel.text
    assert (disk.files(), segmentations(scene)) == ([], [])
    disk.empty()
    segment(host, panel)
    assert panel.ui.statusLabel.text.startswith("Done")
    assert disk.files() == []


def test_for_the_results_of_a_folder(host, disk, bright_worker, panel, scene):
    write_volume(volume_of(add_blocks(scene, "T1WI", LIVER, SPLEEN)), disk.folder / "t1.nrrd")
    panel.ui.batchCollapsibleButton.collapsed = False
    panel.ui.batchSource.setCurrentIndex(2)
    panel.ui.batchFolder.currentPath = str(disk.folder)
    host.click(panel.ui.batchListButton)
    fill(disk)
    for said, files in (("1 failed. The table was not written: ", []), ("1 done.", ["t1_seg.seg.nrrd", "volumes.csv"])):
        host.click(panel.ui.batchRunButton)
        assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
        assert panel.ui.statusLabel.text.startswith(f"Batch: {said}")
        assert disk.files() == ["LiverMRISeg", *(f"LiverMRISeg/{name}" for name in files), "t1.nrrd"]
        if not files:
            assert FULL in panel.batch.jobs[0].message
            disk.empty()


def test_for_a_model_and_a_table(host, disk, panel, scene, result, monkeypatch, tmp_path):
    import qt

    package = save_package(tiny_spec("tiny"), random_weights(tiny_spec("tiny")), tmp_path / "tiny.zip")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", staticmethod(lambda *a: str(package)))
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", staticmethod(lambda *a: str(disk.folder / "volumes.csv")))
    panel.ui.maintenanceCollapsibleButton.collapsed = False
    fill(disk)
    host.click(panel.ui.importModelButton)
    assert f"{FULL}; or set the environment variable" in panel.ui.checkText.toPlainText()
    host.click(panel.ui.exportButton)
    assert host.dialogs.shown[-1] == ("errorDisplay", f"{disk.folder / 'volumes.csv'}: {FULL}")
    assert disk.files() == []
    disk.empty()
    host.click(panel.ui.importModelButton)
    host.click(panel.ui.exportButton)
    assert panel.ui.checkText.toPlainText() == "Imported tiny."
    assert {"tiny/model.json", "volumes.csv"} <= set(disk.files())
