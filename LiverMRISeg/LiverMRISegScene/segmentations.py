"""A label map of the core as a vtkMRMLSegmentationNode beside its volume."""

from __future__ import annotations

from typing import Any

import numpy as np

from LiverMRISegLib.anatomy import LabelSet, Organ, id_of
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.measurement.label_shapes import bounding_boxes
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.volumes import matrix_array

LABELMAP = "Binary labelmap"
GEOMETRY = "Reference image geometry"
GEOMETRY_REFERENCE = "referenceImageGeometryRef"


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
    fill_segmentation(node, volume_node, labelmap, labels)
    node.SetNodeReferenceID(GEOMETRY_REFERENCE, volume_node.GetID())
    node.SetAndObserveTransformNodeID(volume_node.GetTransformNodeID())
    if scene.GetNumberOfNodesByClass("vtkMRMLColorNode") or not volume_node.GetDisplayNode():
        node.CreateDefaultDisplayNodes()
    place_beside(scene, volume_node, node)
    return node


def fill_segmentation(node: Any, volume_node: Any, labelmap: np.ndarray, labels: LabelSet) -> None:
    """Give a segmentation node, in a scene or not, the segments of `labelmap`; arguments as in `add_segmentation`."""
    node.SetReferenceImageGeometryParameterFromVolumeNode(volume_node)
    for value, box in bounding_boxes(labelmap).items():
        if value in labels:
            _add_segment(node, volume_node, labelmap, value, box, labels[value])
    node.GetSegmentation().CollapseBinaryLabelmaps(False)


def segment_ids(node: Any) -> list[str]:
    """The IDs of a segmentation's segments, in order."""
    segmentation = node.GetSegmentation()
    return [segmentation.GetNthSegmentID(n) for n in range(segmentation.GetNumberOfSegments())]


def check_label_maps(node: Any) -> None:
    """Raise InputError if a segmentation has segments but no label maps, as one that was made from surfaces."""
    segmentation = node.GetSegmentation()
    has_some = segmentation.GetSourceRepresentationName() == LABELMAP or segmentation.ContainsRepresentation(LABELMAP)
    if segmentation.GetNumberOfSegments() and not has_some:
        raise InputError(no_label_maps(node))


def no_label_maps(node: Any) -> str:
    """What to do about a segmentation without label maps."""
    text = _("{name}: has no label maps; make binary label map its source representation (Segmentations module)")
    return text.format(name=node.GetName())


def segment_image(node: Any, segment_id: str) -> Any:
    """The label map of a segment alone (vtkOrientedImageData, 0 and 1); None if the segment has none."""
    import slicer

    segment = node.GetSegmentation().GetSegment(segment_id)
    if segment is None or segment.GetRepresentation(LABELMAP) is None:
        return None
    image = slicer.vtkOrientedImageData()
    is_there = node.GetBinaryLabelmapRepresentation(segment_id, image)
    return image if is_there and image.GetNumberOfPoints() else None


def image_array(image: Any) -> np.ndarray:
    """The voxels of a vtkOrientedImageData [Z, Y, X], a view."""
    from vtk.util.numpy_support import vtk_to_numpy

    x, y, z = image.GetDimensions()
    voxels: np.ndarray = vtk_to_numpy(image.GetPointData().GetScalars()).reshape(z, y, x)
    return voxels


def image_to_world(node: Any, image: Any, under: Any = None) -> np.ndarray:
    """4 x 4 from an index (x, y, z) of a segment's label map to world RAS, with linear parent transforms applied.

    `under`: see `segment_volumes`.

    Raises:
        InputError: the segmentation's transform is not linear.
    """
    import vtk

    matrix = vtk.vtkMatrix4x4()
    image.GetImageToWorldMatrix(matrix)  # the world of an image is its segmentation's own space
    own = matrix_array(matrix)
    parent = node.GetParentTransformNode() or under
    if parent is None:
        return own
    if not parent.IsTransformToWorldLinear():
        text = _("{name}: its transform '{transform}' is not linear; harden it first (Transforms module)")
        raise InputError(text.format(name=node.GetName(), transform=parent.GetName()))
    parent.GetMatrixTransformToWorld(matrix)
    placed: np.ndarray = matrix_array(matrix) @ own
    return placed


def _add_segment(
    node: Any, volume_node: Any, labelmap: np.ndarray, value: int, box: tuple[slice, slice, slice], organ: Organ
) -> None:
    import slicer

    segment = slicer.vtkSegment()
    segment.SetName(organ.title)
    segment.SetColor(*(c / 255 for c in organ.color))
    segment.SetTag(slicer.vtkSegment.GetTerminologyEntryTagName(), organ.terminology_entry)
    image = _oriented_image(volume_node, (labelmap[box] == value).astype(np.uint8), box)
    segment.AddRepresentation(LABELMAP, image)
    node.GetSegmentation().AddSegment(segment, id_of(organ.name))


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


def place_beside(scene: Any, volume_node: Any, node: Any) -> None:
    """Put a node where a volume is in the subject hierarchy."""
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(scene)
    if hierarchy is None:
        return
    item = hierarchy.GetItemByDataNode(volume_node)
    if item:
        own = hierarchy.GetItemByDataNode(node) or hierarchy.CreateItem(hierarchy.GetItemParent(item), node)
        hierarchy.SetItemParent(own, hierarchy.GetItemParent(item))
