"""A newer result into an older segmentation: only its organs change, each in its place, and it can be undone."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from LiverMRISegLib.anatomy import id_of
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.inference.chosen_box import ChosenBox
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.segment_names import organs_by_id
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
    accepted_under: str  # the ID of the transform that the replacing put it under

    def undo(self) -> None:
        """Put the older segments back; later changes of the others stay."""
        if self.node.GetScene() is None:
            return
        for segment_id, older in self.segments.items():
            _put(self.node, segment_id, older, self.following.get(segment_id, ""))
        self.node.GetSegmentation().SetConversionParameter(GEOMETRY, self.geometry)
        self.node.SetNodeReferenceID(GEOMETRY_REFERENCE, self.volume_id or None)
        if (self.node.GetTransformNodeID() or "") == self.accepted_under:  # else it was moved since, with its volume
            self.node.SetAndObserveTransformNodeID(self.transform_id or None)


def replace_segments(node: Any, newer: Any, inside: ChosenBox | None = None) -> Replaced:
    """Move the segments of `newer` to `node`, replacing those of the same ID or organ; `newer` is removed.

    A segment that was drawn there by hand is an organ by its name or its terminology. Names and colours of older
    segments stay: the user may have changed them. With `inside`, what they have outside that box stays too.

    Raises:
        InputError: `node` has other segments and another transform, so that they would move; or it has no label maps;
            or a segment of it that would be replaced is called as another organ.
    """
    ids = segment_ids(newer)
    places = _places(node, ids)
    _check(node, newer, places)
    before = Replaced(
        node,
        {segment_id: copy_of(node, segment_id) for segment_id in (*ids, *places.values())},
        _following(node),
        node.GetSegmentation().GetConversionParameter(GEOMETRY),
        node.GetNodeReferenceID(GEOMETRY_REFERENCE) or "",
        node.GetTransformNodeID() or "",
        newer.GetTransformNodeID() or "",
    )
    node.SetAndObserveTransformNodeID(newer.GetTransformNodeID())
    # All are made before the first old one is removed.
    for segment_id, copy in {one: copy_of(newer, one) for one in ids}.items():
        place = places.get(segment_id, segment_id)
        outside = _outside(node, place, inside) if inside is not None else None
        older = before.segments[place]
        if older is not None:
            _call(copy, older)
        if place != segment_id:
            node.GetSegmentation().RemoveSegment(place)
        _put(node, segment_id, copy, before.following.get(place, ""))
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


def _places(node: Any, ids: list[str]) -> dict[str, str]:
    """Which segment of `node` each of the `ids` replaces, those of organs: that of its ID, else the only such organ.

    Raises:
        InputError: the one of its ID is called as another organ.
    """
    there, organs = segment_ids(node), organs_by_id(node)
    found = {}
    for segment_id in ids:
        if segment_id in there and id_of(organs.get(segment_id, segment_id)) != segment_id:
            text = _("{name}: its segment '{called}' was made as {organ}; rename it, or choose a new segmentation")
            called = node.GetSegmentation().GetSegment(segment_id).GetName()
            raise InputError(text.format(name=node.GetName(), called=called, organ=segment_id.replace("_", " ")))
        alike = [one for one, organ in organs.items() if id_of(organ) == segment_id]
        if segment_id in there or len(alike) == 1:
            found[segment_id] = segment_id if segment_id in there else alike[0]
    return found


def _check(node: Any, newer: Any, places: Mapping[str, str]) -> None:
    segmentation, others = node.GetSegmentation(), set(segment_ids(node)) - set(places.values())
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
