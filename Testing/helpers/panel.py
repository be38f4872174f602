"""The panel in tests: clicks, tables, and workers that misbehave."""

import os
import sys
from pathlib import Path

from helpers.waiting import SECONDS


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


SLOW = """
import time
import LiverMRISegLib.inference.engines.openvino_engine as engine

quick = engine.OpenVinoEngine.predict

def predict(self, batch):
    time.sleep(0.5)
    return quick(self, batch)

engine.OpenVinoEngine.predict = predict
"""


# Without a network: the liver is what is brighter than 300, the spleen what is between 100 and 200.
BRIGHT = """
import numpy as np
import LiverMRISegLib.inference.segmenter as segmenter
from LiverMRISegLib.inference import quality

def segment(self, volume, *, organs=None, **_options):
    labels, labelmap = self._chosen(organs), np.zeros(volume.array.shape, np.uint8)
    bright = {"liver": volume.array > 300, "spleen": (volume.array > 100) & (volume.array < 200)}
    for value, organ in labels.items():
        if organ.name in bright:
            labelmap[bright[organ.name]] = value
    volumes = quality.volumes_ml(labelmap, labels, volume.geometry.voxel_volume_ml)
    return segmenter.Segmentation(labelmap, labels, volume.geometry, volumes, [], {}, volume)

segmenter.Segmenter.segment = segment
"""


# As BRIGHT, but not before a file is gone.
HELD = (
    BRIGHT
    + """
import os, time

at_once = segmenter.Segmenter.segment

def held(self, volume, *, progress, cancel, **options):
    progress("held", 0.5)
    while os.path.exists(HOLD):
        time.sleep(0.02)
        cancel.check()
    return at_once(self, volume, **options)

segmenter.Segmenter.segment = held
"""
)


class Hold:
    """Holds the worker of HELD in the middle of each volume, from `begin` to `end`."""

    def __init__(self, file):
        self._file = file

    def begin(self):
        self._file.touch()

    def end(self):
        self._file.unlink()


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
