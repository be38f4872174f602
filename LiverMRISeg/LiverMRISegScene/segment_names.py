"""What segments are called in tables and in DICOM, and which of them are organs of ours that the user has renamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
    segments = {
        segment_id: Segment(name, organ_of_entry(_terminology(node, segment_id)), segment_id)
        for segment_id, name in names.items()
    }
    meant = meant_by_code(names, coded_organs(segments))
    return {names[segment_id]: organ for segment_id, organ in meant.items()}


def _terminology(node: Any, segment_id: str) -> str:
    import slicer
    import vtk

    entry, tag = vtk.mutable(""), slicer.vtkSegment.GetTerminologyEntryTagName()
    return str(entry) if node.GetSegmentation().GetSegment(segment_id).GetTag(tag, entry) else ""
