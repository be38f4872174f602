"""Sequences of volumes (4D) in a scene, as a reader of 4D files leaves them."""

from LiverMRISegScene.volumes import add_volume


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
