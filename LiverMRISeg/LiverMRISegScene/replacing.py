"""A newer result into an older segmentation: only its organs change, each in its place, and it can be undone."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.inference.chosen_box import ChosenBox
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.segmentations import (
    GEOMETRY,
    GEOMETRY_REFERENCE,
    LABELMAP,
    image_array,
    image_to_world,
    no_label_maps,
    segment_ids,
    segment_image,
)
from LiverMRISegScene.volumes import LPS_FROM_RAS


@dataclass(frozen=True)
class Replaced:
    """What `replace_segments` changed in a segmentation."""

    node: Any
    segments: dict[str, Any]  # copies by ID; None for what was not there
    following: dict[str, str]
    geometry: str
    volume_id: str
    transform_id: str

    def undo(self) -> None:
        """Put the older segments back; later changes of the others stay."""
        if self.node.GetScene() is None:
            return
        for segment_id, older in self.segments.items():
            _put(self.node, segment_id, older, self.following.get(segment_id, ""))
        self.node.GetSegmentation().SetConversionParameter(GEOMETRY, self.geometry)
        self.node.SetNodeReferenceID(GEOMETRY_REFERENCE, self.volume_id or None)
        self.node.SetAndObserveTransformNodeID(self.transform_id or None)


def replace_segments(node: Any, newer: Any, inside: ChosenBox | None = None) -> Replaced:
    """Move the segments of `newer` to `node`, replacing those of the same ID; `newer` is removed.

    Names and colours of older segments stay: the user may have changed them. With `inside`, what they have outside that
    box stays too.

    Raises:
        InputError: `node` has other segments and another transform, so that they would move; or it has no label maps.
    """
    ids = segment_ids(newer)
    _check(node, newer, ids)
    before = Replaced(
        node,
        {segment_id: copy_of(node, segment_id) for segment_id in ids},
        _following(node),
        node.GetSegmentation().GetConversionParameter(GEOMETRY),
        node.GetNodeReferenceID(GEOMETRY_REFERENCE) or "",
        node.GetTransformNodeID() or "",
    )
    node.SetAndObserveTransformNodeID(newer.GetTransformNodeID())
    # All are made before the first old one is removed.
    for segment_id, copy in {one: copy_of(newer, one) for one in ids}.items():
        outside = _outside(node, segment_id, inside) if inside is not None else None
        older = before.segments[segment_id]
        if older is not None:
            _call(copy, older)
        _put(node, segment_id, copy, before.following.get(segment_id, ""))
        if outside is not None:
            _add_voxels(node, segment_id, outside)
    node.GetSegmentation().SetConversionParameter(GEOMETRY, newer.GetSegmentation().GetConversionParameter(GEOMETRY))
    node.SetNodeReferenceID(GEOMETRY_REFERENCE, newer.GetNodeReferenceID(GEOMETRY_REFERENCE))
    newer.GetScene().RemoveNode(newer)
    return before


def copy_of(node: Any, segment_id: str) -> Any:
    """A copy of a segment with a label map of its own; None if there is no such segment.

    Built by hand: `vtkSegment.DeepCopy` fails where no conversion rules are registered, as in slicer-core.
    """
    import slicer

    original = node.GetSegmentation().GetSegment(segment_id)
    if original is None:
        return None
    copy = slicer.vtkSegment()
    copy.DeepCopyMetadata(original)
    _call(copy, original)
    copy.SetLabelValue(1)
    image = segment_image(node, segment_id)
    if image is not None:
        copy.AddRepresentation(LABELMAP, image)
    return copy


def _call(segment: Any, as_other: Any) -> None:
    """Give a segment name, colour and terminology of another one. What was said of that one's outline is not taken."""
    import vtk

    segment.SetName(as_other.GetName())
    segment.SetColor(*as_other.GetColor())
    entry, tag = vtk.mutable(""), as_other.GetTerminologyEntryTagName()
    if as_other.GetTag(tag, entry):
        segment.SetTag(tag, str(entry))


def _check(node: Any, newer: Any, ids: list[str]) -> None:
    segmentation, others = node.GetSegmentation(), set(segment_ids(node)) - set(ids)
    if node.GetTransformNodeID() != newer.GetTransformNodeID() and others:
        text = _("{name}: is not under the same transform as the volume; choose a new segmentation")
        raise InputError(text.format(name=node.GetName()))
    if segmentation.GetNumberOfSegments() and segmentation.GetSourceRepresentationName() != LABELMAP:
        raise InputError(no_label_maps(node))


def _following(node: Any) -> dict[str, str]:
    """Which segment comes after each."""
    ids = segment_ids(node)
    return dict(itertools.pairwise(ids))


def _put(node: Any, segment_id: str, segment: Any, following: str) -> None:
    """Put a segment where one of its ID was; None removes that one."""
    segmentation = node.GetSegmentation()
    if segmentation.GetSegment(segment_id) is not None:
        segmentation.RemoveSegment(segment_id)
    if segment is not None:
        before = following if segmentation.GetSegment(following) is not None else ""
        segmentation.AddSegment(segment, segment_id, before)


def _outside(node: Any, segment_id: str, inside: ChosenBox) -> Any:
    """The label map of a segment without its voxels in the box; None if nothing is left."""
    import slicer

    if node.GetSegmentation().GetSegment(segment_id) is None:
        return None
    original = segment_image(node, segment_id)
    if original is None:
        return None
    image = slicer.vtkOrientedImageData()
    image.DeepCopy(original)
    voxels, first = image_array(image), image.GetExtent()[::2]
    voxels[inside.mask_on(LPS_FROM_RAS @ image_to_world(node, image), image.GetDimensions(), first)] = 0
    return image if voxels.any() else None


def _add_voxels(node: Any, segment_id: str, image: Any) -> None:
    """As the Segment Editor adds to a segment, on whatever grid the voxels are."""
    import slicer

    logic = slicer.vtkSlicerSegmentationsModuleLogic
    logic.SetBinaryLabelmapToSegment(image, node, segment_id, logic.MODE_MERGE_MAX)
