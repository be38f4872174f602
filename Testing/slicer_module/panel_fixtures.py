"""What the tests of the panel share: the host that stands for the application, and workers that misbehave."""

import os
import sys
from pathlib import Path

import pytest

from conftest import ROOT

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from LiverMRISegLib.models import catalog
from slicer_host import start

SECONDS = 90


@pytest.fixture(scope="module")
def host():
    return start()


@pytest.fixture(scope="module")
def module(host):
    return host.load_module(ROOT / "LiverMRISeg" / "LiverMRISeg.py")


@pytest.fixture
def scene(host):
    import slicer

    slicer.mrmlScene.Clear(0)
    return slicer.mrmlScene


def stand_in(folder, monkeypatch, patch):
    """A PythonSlicer on PATH that runs `patch` before the worker. To be made before the panel.

    As Slicer's own it starts the interpreter as a child and waits for it.
    """
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(patch)
    script = folder / "PythonSlicer"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}:$PYTHONPATH" "{sys.executable}" "$@"\nexit $?\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
def slow_worker(tmp_path, monkeypatch):
    """Every tile takes half a second longer, so that a run can be met in its middle on any machine."""
    stand_in(tmp_path / "bin", monkeypatch, SLOW)


@pytest.fixture
def full_gpu(tmp_path, monkeypatch):
    """A GPU with no memory left."""
    stand_in(tmp_path / "bin", monkeypatch, FULL_GPU)


@pytest.fixture
def stuck_worker(tmp_path, monkeypatch):
    """No tile ever ends, and no cancel is heard."""
    stand_in(tmp_path / "bin", monkeypatch, SLOW.replace("0.5", "600"))


SLOW = """
import time
import LiverMRISegLib.inference.engines.openvino_engine as engine

quick = engine.OpenVinoEngine.predict

def predict(self, batch):
    time.sleep(0.5)
    return quick(self, batch)

engine.OpenVinoEngine.predict = predict
"""

FULL_GPU = """
import LiverMRISegLib.inference.segmenter as segmenter
from LiverMRISegLib.errors import DeviceMemoryError

class FullGpu:
    name, device, batch = "full gpu", "cuda:0", 4
    def predict(self, batch):
        raise DeviceMemoryError("the memory of cuda:0 is full")

on_cpu = segmenter.load_engine
segmenter.load_engine = lambda package, device: on_cpu(package, "cpu") if device == "cpu" else FullGpu()
"""


@pytest.fixture
def panel(host, module, scene, monkeypatch, tmp_path):
    import slicer

    monkeypatch.setenv(catalog.FOLDER_VARIABLE, str(tmp_path / "models"))
    slicer.app.settings().clear()
    host.problems.clear()
    widget = host.show_panel(module)
    yield widget.panel
    widget.cleanup()
    widget.parent.close()
    assert host.problems.slot_errors == []
    assert host.problems.unknown_signals == []


@pytest.fixture
def phantom(scene):
    from LiverMRISegScene.sample_data import add_sample

    return add_sample(scene, "LiverMRISegPhantom-T1WI")[0]


def segment(host, panel, node=None, wait=True):
    if node is not None:
        panel.ui.inputSelector.setCurrentNode(node)
    host.click(panel.ui.segmentButton)
    assert panel.queue.is_busy, panel.ui.statusLabel.text
    if wait:
        assert host.wait(lambda: not panel.queue.is_busy, SECONDS), panel.ui.statusLabel.text


def segmentations(scene):
    return [
        scene.GetNthNodeByClass(n, "vtkMRMLSegmentationNode")
        for n in range(scene.GetNumberOfNodesByClass("vtkMRMLSegmentationNode"))
    ]


def rows(table):
    return {
        table.item(r, 0).text(): [table.item(r, c) for c in range(table.columnCount)] for r in range(table.rowCount)
    }


def is_zombie(process):
    return ") Z" in Path(f"/proc/{process}/stat").read_text()
