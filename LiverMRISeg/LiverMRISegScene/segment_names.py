"""What segments are called in tables and in DICOM, and which of them are organs of ours that the user has renamed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from LiverMRISegLib.anatomy import ORGAN_NAMES, organ_named, structure_named
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
    there = {structure_named(name).name for name in names.values()}
    found = {}
    for segment_id, name in names.items():
        organ, is_free = segment_id.replace("_", " "), structure_named(name).name not in ORGAN_NAMES
        if is_free and organ in set(ORGAN_NAMES) - there and _has_terminology_of(node, segment_id, organ):
            found[name] = organ
    return found


def _has_terminology_of(node: Any, segment_id: str, organ: str) -> bool:
    import slicer
    import vtk

    entry, tag = vtk.mutable(""), slicer.vtkSegment.GetTerminologyEntryTagName()
    is_there = node.GetSegmentation().GetSegment(segment_id).GetTag(tag, entry)
    return bool(is_there) and str(entry) == organ_named(organ).terminology_entry
