"""A scalar volume node as a `Volume` of the core, with its parent transforms applied."""

from __future__ import annotations

from typing import Any

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.volume import Geometry, Volume

LPS_FROM_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def volume_of(node: Any, under: Any = None) -> Volume:
    """The voxels of a vtkMRMLScalarVolumeNode and their position in the world, with linear parent transforms applied.

    `under` is the transform node for a volume that is not in the scene itself: a frame of a sequence.

    Raises:
        InputError: it has no voxels, several components, or a parent transform that does not keep a regular grid.
    """
    image = node.GetImageData()
    if image is None or image.GetNumberOfPoints() == 0 or image.GetPointData().GetScalars() is None:
        raise InputError(f"{node.GetName()}: has no voxels; load the volume again")
    if image.GetNumberOfScalarComponents() != 1:
        raise InputError(f"{node.GetName()}: is a colour or vector volume; choose a scalar volume")
    return Volume(_voxels(image), geometry_of(node, under), node.GetName())


def add_volume(scene: Any, volume: Volume, name: str) -> Any:
    """A new vtkMRMLScalarVolumeNode with the voxels and the geometry of `volume`."""
    import slicer
    import vtk

    geometry = volume.geometry
    lps = np.eye(4)
    lps[:3, :3] = np.array(geometry.direction) * np.array(geometry.spacing)
    lps[:3, 3] = geometry.origin
    matrix = vtk.vtkMatrix4x4()
    matrix.DeepCopy((LPS_FROM_RAS @ lps).ravel().tolist())
    node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
    slicer.util.updateVolumeFromArray(node, np.ascontiguousarray(volume.array))
    node.SetIJKToRASMatrix(matrix)
    node.CreateDefaultDisplayNodes()
    return node


def names_in_scene(scene: Any) -> list[str]:
    """The names of all volumes, segmentations, transforms, ROIs and sequences: each may be a patient's."""
    kinds = ("vtkMRMLTransformableNode", "vtkMRMLSequenceNode")
    nodes = (scene.GetNthNodeByClass(n, kind) for kind in kinds for n in range(scene.GetNumberOfNodesByClass(kind)))
    return [node.GetName() for node in nodes if node.GetName()]


def ijk_to_world(node: Any, under: Any = None) -> np.ndarray:
    """4 x 4 matrix from voxel index (i, j, k) to world RAS, with parent transforms applied. `under`: see `volume_of`.

    Raises:
        InputError: a parent transform is not linear.
    """
    import vtk

    matrix = vtk.vtkMatrix4x4()
    node.GetIJKToRASMatrix(matrix)
    own = matrix_array(matrix)
    parent = node.GetParentTransformNode() or under
    if parent is None:
        return own
    if not parent.IsTransformToWorldLinear():
        raise InputError(
            f"{node.GetName()}: its transform '{parent.GetName()}' is not linear; harden it first (Transforms module, "
            "Harden transform), or remove the volume from the transform"
        )
    parent.GetMatrixTransformToWorld(matrix)
    result: np.ndarray = matrix_array(matrix) @ own
    return result


def geometry_of(node: Any, under: Any = None) -> Geometry:
    """The grid of a volume with voxels in the world; arguments and errors as of `volume_of`."""
    own = ijk_to_world(node, under)
    if not np.isfinite(own).all():
        raise InputError(f"{node.GetName()}: its place in space is not a number; correct it in the Volumes module")
    matrix = LPS_FROM_RAS @ own
    columns = matrix[:3, :3]
    spacing = np.linalg.norm(columns, axis=0)
    if spacing.min() <= 0:
        raise InputError(f"{node.GetName()}: a voxel spacing is zero; correct it in the Volumes module")
    direction, is_affine = columns / spacing, np.allclose(matrix[3], (0, 0, 0, 1))
    if not (is_affine and np.allclose(direction.T @ direction, np.eye(3), atol=1e-3)):
        raise InputError(
            f"{node.GetName()}: its axes are not perpendicular; resample it first (Resample Scalar/Vector/DWI Volume "
            "module), or remove it from the transform that shears it"
        )
    rows = tuple(tuple(float(v) for v in row) for row in direction)
    size = node.GetImageData().GetDimensions()
    return Geometry(size, tuple(map(float, spacing)), tuple(map(float, matrix[:3, 3])), rows)  # type: ignore[arg-type]


def _voxels(image: Any) -> np.ndarray:
    from vtk.util.numpy_support import vtk_to_numpy

    i, j, k = image.GetDimensions()
    voxels: np.ndarray = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(k, j, i)
    return voxels


def matrix_array(matrix: Any) -> np.ndarray:
    """A vtkMatrix4x4 as a 4 x 4 array."""
    return np.array([[matrix.GetElement(r, c) for c in range(4)] for r in range(4)])
