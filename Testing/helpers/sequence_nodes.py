"""Sequences of volumes (4D) in a scene, as a reader of 4D files leaves them."""

import numpy as np

from helpers.volumes import make_volume
from LiverMRISegLib.volume import Volume
from LiverMRISegScene.volumes import add_volume

SIZE = (40, 36, 24)


def add_sequence(scene, volumes, name="dynamic", step=2.5):
    """A sequence node with a frame a volume, its browser, and the volume that shows the current frame."""
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    for number, volume in enumerate(volumes):
        node = add_volume(scene, volume, name)
        sequence.SetDataNodeAtValue(node, f"{number * step:g}")
        scene.RemoveNode(node)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", f"{name} browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    import slicer

    if hasattr(getattr(slicer, "modules", None), "sequences"):
        slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    return sequence, browser


def volumes_of(count, bad=()):
    """Random volumes; those at the places `bad` show nothing."""
    made = [make_volume(size=SIZE, seed=n) for n in range(count)]
    return [Volume(np.full_like(v.array, 7), v.geometry) if n in bad else v for n, v in enumerate(made)]


def column(table, name):
    """The values of a column of a table node."""
    values = table.GetTable().GetColumnByName(name)
    return [values.GetValue(row) for row in range(table.GetTable().GetNumberOfRows())]
