"""Slicer's Segment Editor, opened with a result and its volume."""

from __future__ import annotations

from typing import Any

from LiverMRISegScene.segmentations import GEOMETRY_REFERENCE


def source_volume(segmentation: Any) -> Any:
    """The volume that a segmentation was made from; None if it is not known or was removed."""
    return segmentation.GetNodeReference(GEOMETRY_REFERENCE)


def open_segment_editor(segmentation: Any, volume: Any, segment_id: str = "") -> None:
    """Show the Segment Editor with a segmentation, the volume as its source, and perhaps a segment selected."""
    import slicer

    # Entering the module gives its editor a parameter node; without one the editor takes no nodes.
    slicer.util.selectModule("SegmentEditor")
    editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
    editor.setSegmentationNode(segmentation)
    if volume is not None:
        editor.setSourceVolumeNode(volume)
    if segment_id:
        editor.setCurrentSegmentID(segment_id)
