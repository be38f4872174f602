"""The panel and its worker process: cancelled, stuck, killed, short of memory, and gone with the application."""

import os
import signal
import sys
from pathlib import Path

import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from helpers.panel import is_zombie, segment, segmentations
from helpers.waiting import SECONDS


def test_cancel_in_the_middle_takes_effect(host, slow_worker, panel, scene, phantom):
    segment(host, panel, phantom, wait=False)
    assert host.wait(lambda: panel.ui.progressBar.value >= 5, SECONDS)
    host.click(panel.ui.segmentButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)  # how fast is measured by the benchmark
    assert panel.ui.statusLabel.text.startswith("Cancelled")
    assert segmentations(scene) == []
    segment(host, panel)
    assert len(segmentations(scene)) == 1


def test_a_worker_that_hears_nothing_is_ended(host, stuck_worker, panel, scene, phantom):
    segment(host, panel, phantom, wait=False)
    assert host.wait(lambda: panel.ui.progressBar.value >= 5, SECONDS)
    worker = panel.worker.process_id
    assert "LiverMRISegLib.inference.worker.server" in Path(f"/proc/{worker}/cmdline").read_text()
    assert str(Path(sys.executable)) in Path(f"/proc/{worker}/cmdline").read_text()
    host.click(panel.ui.segmentButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert panel.ui.statusLabel.text.startswith("Cancelled")
    assert host.wait(lambda: not Path(f"/proc/{worker}").exists() or is_zombie(worker), SECONDS)


def test_a_worker_that_is_killed_is_named_and_the_next_click_works(host, slow_worker, panel, scene, phantom):
    segment(host, panel, phantom, wait=False)
    assert host.wait(lambda: panel.ui.progressBar.value >= 5, SECONDS)
    os.kill(panel.worker.process_id, signal.SIGKILL)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert "ended unexpectedly (SIGKILL" in panel.ui.statusLabel.text
    assert not panel.ui.logCollapsibleButton.collapsed
    segment(host, panel)
    assert panel.ui.statusLabel.text.startswith("Done")


def test_a_full_gpu_takes_less_memory_and_says_so(host, full_gpu, panel, scene, phantom):
    segment(host, panel, phantom)
    assert panel.ui.statusLabel.text.startswith("Done"), panel.ui.statusLabel.text
    assert "computed one tile at a time" in panel.ui.flagsLabel.text
    assert "on the CPU" in panel.ui.flagsLabel.text


def test_a_worker_that_cannot_start(host, panel, phantom, monkeypatch):
    from LiverMRISegPanel import qt_worker

    monkeypatch.setattr(qt_worker, "worker_python", lambda: "/nowhere/PythonSlicer")
    panel.ui.inputSelector.setCurrentNode(phantom)
    host.click(panel.ui.segmentButton)
    assert host.wait(lambda: not panel.queue.is_busy, SECONDS)
    assert "could not be started" in panel.ui.statusLabel.text


def test_closing_the_scene_in_the_middle(host, slow_worker, panel, scene, phantom):
    segment(host, panel, phantom, wait=False)
    assert host.wait(lambda: panel.ui.progressBar.value >= 5, SECONDS)
    process = panel.worker.process_id
    scene.Clear(0)
    assert not panel.queue.is_busy
    assert host.wait(lambda: not Path(f"/proc/{process}").exists() or is_zombie(process), SECONDS)
    assert panel.ui.resultTable.rowCount == 0
    assert panel.ui.statusLabel.text == "Choose a volume."
    from LiverMRISegScene.sample_data import add_sample

    segment(host, panel, add_sample(scene, "LiverMRISegPhantom-T2WI")[0])
    assert panel.ui.statusLabel.text.startswith("Done")


def test_leaving_the_application_ends_the_worker(host, module, scene, phantom):
    widget = host.show_panel(module)
    segment(host, widget.panel, phantom)
    process = widget.panel.worker.process_id
    assert process > 0
    widget.cleanup()
    widget.parent.close()
    assert not Path(f"/proc/{process}").exists() or is_zombie(process)
