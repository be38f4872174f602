"""What the tests of the module share: volumes in a scene, and a worker that answers at once."""

import numpy as np

from helpers.dicom_series import write_dicom_series
from helpers.volumes import make_volume
from LiverMRISegLib.inference.worker.client import WorkerClient
from LiverMRISegLib.volume import Volume
from LiverMRISegScene.volumes import add_volume


def add_random(scene, name, direction=None, size=(40, 36, 24)):
    return add_volume(scene, make_volume(direction, size=size), name)


def add_blocks(scene, name, liver, spleen=np.s_[0:1, 0:1, 0:1]):
    """A volume for the worker of `helpers.panel.BRIGHT`, with liver and spleen in these boxes [Z, Y, X]."""
    made = make_volume(size=(40, 36, 24))
    array = made.array / 5  # up to 80
    array[spleen] += 110
    array[liver] += 400
    return add_volume(scene, Volume(array, made.geometry), name)


def add_flat(scene, name):
    made = make_volume(size=(40, 36, 24))
    return add_volume(scene, Volume(np.full_like(made.array, 7), made.geometry), name)


class WaitingWorker(WorkerClient):
    """The real worker process, asked so that every request is over when `ask` returns."""

    def __init__(self):
        super().__init__()
        self.requests = []

    def ask(self, request, on_event):
        self.requests.append(request)
        super().ask(request, on_event)
        while self.is_busy:
            self.listen(0.05)


def draw(node, segment_id, mask, volume):
    """Change a segment as the Segment Editor does: `mask` [Z, Y, X] is on the grid of the volume node."""
    import slicer
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    image, matrix = slicer.vtkOrientedImageData(), vtk.vtkMatrix4x4()
    image.SetDimensions(*mask.shape[::-1])
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(mask, np.uint8).ravel(), deep=True))
    volume.GetIJKToRASMatrix(matrix)
    image.SetImageToWorldMatrix(matrix)
    logic = slicer.vtkSlicerSegmentationsModuleLogic
    assert logic.SetBinaryLabelmapToSegment(image, node, segment_id, logic.MODE_REPLACE)


def loaded_from_dicom(scene, database, volume, folder):
    """As Slicer's DICOM module loads a series: voxels in its own order of axes, and the instances' UIDs."""
    write_dicom_series(folder, volume)
    node = add_volume(scene, volume, "T2WI")
    node.SetAttribute("DICOM.instanceUIDs", " ".join(database.add(folder)))
    return node
