"""What segments are called in tables and in DICOM, and which of them are organs of ours that the user has renamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from LiverMRISegLib.anatomy import ORGAN_NAMES, structure_named
from LiverMRISegLib.io.segment_codes import Segment, coded_organs, organ_of_entry
from LiverMRISegLib.io.segment_codes import organs_meant as meant_by_code
from LiverMRISegScene.bases import tr as _
from LiverMRISegScene.segment_volumes import key_of
from LiverMRISegScene.segmentations import segment_ids

# DICOM's longest label has 64 characters; the number of a name that occurs again has to fit too.
_LONGEST = 58


def segment_names(node: Any) -> dict[str, str]:
    """A name for each segment by its ID, all different and such as DICOM takes."""
    found: dict[str, str] = {}
    for segment_id in segment_ids(node):
        name = plain_name(key_of(node, segment_id))
        number, free = 1, name
        while free in found.values():
            number += 1
            free = f"{name} ({number})"
        found[segment_id] = free
    return found


def plain_name(name: str) -> str:
    """A name without what DICOM does not take: control characters, backslashes, more than 64 characters, nothing."""
    text = "".join(mark if mark.isprintable() and mark != "\\" else " " for mark in name)
    return " ".join(text.split())[:_LONGEST] or _("segment")


def organs_meant(node: Any, names: Mapping[str, str]) -> dict[str, str]:
    """The organ by the name of each segment that is one of ours but is called otherwise: its terminology still says so.

    `names`: by segment ID.
    """
    return {names[segment_id]: organ for segment_id, organ in _meant_by_code(node, names).items()}


def organs_by_id(node: Any) -> dict[str, str]:
    """The organ of ours that each segment is, by its name or else by its terminology; others are left out."""
    names = {segment_id: key_of(node, segment_id) for segment_id in segment_ids(node)}
    called = {segment_id: structure_named(name or "segment").name for segment_id, name in names.items()}
    known = {segment_id: organ for segment_id, organ in called.items() if organ in ORGAN_NAMES}
    return {**known, **_meant_by_code(node, names)}


def _meant_by_code(node: Any, names: Mapping[str, str]) -> dict[str, str]:
    segments = {
        segment_id: Segment(name, organ_of_entry(_terminology(node, segment_id)), segment_id)
        for segment_id, name in names.items()
    }
    return meant_by_code(names, coded_organs(segments))


def _terminology(node: Any, segment_id: str) -> str:
    import slicer
    import vtk

    entry, tag = vtk.mutable(""), slicer.vtkSegment.GetTerminologyEntryTagName()
    return str(entry) if node.GetSegmentation().GetSegment(segment_id).GetTag(tag, entry) else ""
