"""A label map of the core as a vtkMRMLSegmentationNode beside its volume."""

from __future__ import annotations

from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import LabelSet, Organ
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.measurement.label_shapes import bounding_boxes

_LABELMAP = "Binary labelmap"
_GEOMETRY = "Reference image geometry"
_GEOMETRY_REFERENCE = "referenceImageGeometryRef"


def add_segmentation(scene: Any, volume_node: Any, labelmap: np.ndarray, labels: LabelSet, name: str) -> Any:
    """A new segmentation node with a segment for every organ of `labels` that occurs.

    It has names, colours and SNOMED CT terminology, the geometry and the parent transform of the volume (so that both
    move together), and is beside the volume in the subject hierarchy.

    Args:
        scene: the vtkMRMLScene.
        volume_node: the vtkMRMLScalarVolumeNode that was segmented.
        labelmap: uint8 [Z, Y, X] on the volume's grid.
        labels: what the values mean.
        name: name of the new node.
    """
    node = scene.AddNewNodeByClass("vtkMRMLSegmentationNode", name)
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    node.SetNodeReferenceID(_GEOMETRY_REFERENCE, volume_node.GetID())
    for value, box in bounding_boxes(labelmap).items():
        if value in labels:
            _add_segment(node, volume_node, labelmap, value, box, labels[value])
    node.GetSegmentation().CollapseBinaryLabelmaps(False)
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    if scene.GetNumberOfNodesByClass("vtkMRMLColorNode") or not volume_node.GetDisplayNode():
        node.CreateDefaultDisplayNodes()
    _place_beside(scene, volume_node, node)
    return node


def replace_segments(node: Any, newer: Any) -> None:
    """Move the segments of `newer` to `node`, replacing those of the same name; `newer` is removed.

    Raises:
        InputError: `node` has other segments and another transform, so that they would move.
    """
    old, new = node.GetSegmentation(), newer.GetSegmentation()
    ids = segment_ids(newer)
    if node.GetTransformNodeID() != newer.GetTransformNodeID():
        if set(segment_ids(node)) - set(ids):
            raise InputError(
                f"{node.GetName()}: is not under the same transform as the volume; choose a new segmentation"
            )
        node.SetAndObserveTransformNodeID(newer.GetTransformNodeID())
    for segment_id, copy in _copies(new, ids).items():  # all are made before the first old one is removed
        if old.GetSegment(segment_id) is not None:
            old.RemoveSegment(segment_id)
        old.AddSegment(copy, segment_id)
    old.SetConversionParameter(_GEOMETRY, new.GetConversionParameter(_GEOMETRY))
    node.SetNodeReferenceID(_GEOMETRY_REFERENCE, newer.GetNodeReferenceID(_GEOMETRY_REFERENCE))
    newer.GetScene().RemoveNode(newer)


def _copies(segmentation: Any, ids: list[str]) -> dict[str, Any]:
    """Copies of segments with their label maps.

    Built by hand: `vtkSegment.DeepCopy` fails where no conversion rules are registered, as in slicer-core.
    """
    import slicer

    copies = {}
    for segment_id in ids:
        original, copy = segmentation.GetSegment(segment_id), slicer.vtkSegment()
        image = slicer.vtkOrientedImageData()
        image.DeepCopy(original.GetRepresentation(_LABELMAP))
        copy.SetName(original.GetName())
        copy.SetColor(*original.GetColor())
        copy.DeepCopyMetadata(original)
        copy.AddRepresentation(_LABELMAP, image)
        copies[segment_id] = copy
    return copies


def segment_ids(node: Any) -> list[str]:
    """The IDs of a segmentation's segments, in order."""
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]


def show_in_3d(node: Any, shown: bool) -> None:
    """Make the closed surfaces and show them in the 3D views, or hide them."""
    if shown:
        node.CreateClosedSurfaceRepresentation()
    display = node.GetDisplayNode()
    if display is not None:
        display.SetVisibility3D(shown)


def _add_segment(
    node: Any, volume_node: Any, labelmap: np.ndarray, value: int, box: tuple[slice, slice, slice], organ: Organ
) -> None:
    import slicer

    segment = slicer.vtkSegment()
    segment.SetName(organ.title)
    segment.SetColor(*(c / 255 for c in organ.color))
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), organ.terminology_entry)
    image = _oriented_image(volume_node, (labelmap[box] == value).astype(np.uint8), box)
    segment.AddRepresentation(_LABELMAP, image)
    node.GetSegmentation().AddSegment(segment, organ.name.replace(" ", "_"))


def _oriented_image(volume_node: Any, mask: np.ndarray, box: tuple[slice, slice, slice]) -> Any:
    """`mask` as a vtkOrientedImageData whose extent is `box` in the volume's voxels."""
    import slicer
    import vtk
    from vtk.util.numpy_support import numpy_to_vtk

    image = slicer.vtkOrientedImageData()
    z, y, x = box
    image.SetExtent(x.start, x.stop - 1, y.start, y.stop - 1, z.start, z.stop - 1)
    image.GetPointData().SetScalars(numpy_to_vtk(np.ascontiguousarray(mask).ravel(), deep=True))
    matrix = vtk.vtkMatrix4x4()
    volume_node.GetIJKToRASMatrix(matrix)
    image.SetImageToWorldMatrix(matrix)
    return image


def _place_beside(scene: Any, volume_node: Any, node: Any) -> None:
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if hierarchy is None:
        return
    item = hierarchy.GetItemByDataNode(volume_node)
    if item:
        own = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetItemParent(item), node)
        hierarchy.SetItemParent(own, hierarchy.GetItemParent(item))
