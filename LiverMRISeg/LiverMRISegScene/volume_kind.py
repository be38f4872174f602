"""Modality and sequence of a volume: from its DICOM attributes, from Slicer's DICOM database, or from its name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.sequence_names import guess_sequence
from LiverMRISegScene.bases import tr as _

# Slicer writes only the modality to a volume that it loads; what describes the sequence is in its database.
_MODALITY = ("DICOM.Modality", "0008,0060")
_DESCRIBING = (
    ("DICOM.SeriesDescription", "0008,103e"),
    ("DICOM.ProtocolName", "0018,1030"),
    ("DICOM.SequenceName", "0018,0024"),
)
_INSTANCES = "DICOM.instanceUIDs"


@dataclass(frozen=True)
class VolumeKind:
    """What is known about a volume; None if it is not known."""

    modality: str | None = None
    sequence: Sequence | None = None

    @property
    def title(self) -> str:
        """In words: "MR, T2WI", "CT", "unknown sequence"."""
        known = [self.modality, self.sequence.value if self.sequence else None]
        return ", ".join(part for part in known if part) or _("unknown sequence")


def kind_of(node: Any) -> VolumeKind:
    """Modality and sequence of a volume node: see the top of this file."""
    modality = _found(node, *_MODALITY)
    texts = [*(_found(node, *where) for where in _DESCRIBING), node.GetName() or ""]
    sequence = next((found for text in texts if text and (found := guess_sequence(text))), None)
    if modality is None and "CT" in (node.GetName() or "").replace("_", " ").split():
        modality = "CT"
    if modality not in (None, "MR"):
        return VolumeKind(modality)
    return VolumeKind(modality or ("MR" if sequence else None), sequence)


def frame_of_reference(node: Any) -> str | None:
    """DICOM's UID of the frame of reference that a volume node was loaded in, if it is known."""
    return _found(node, "DICOM.FrameOfReferenceUID", "0020,0052")


def loaded_dicom_files(node: Any) -> list[str]:
    """The DICOM files that a volume node was loaded from, by Slicer's database; empty if they are not known."""
    import slicer

    database = getattr(slicer, "dicomDatabase", None)
    instances = (node.GetAttribute(_INSTANCES) or "").split()
    files = [str(database.fileForInstance(uid) or "") for uid in instances] if database is not None else []
    return files if all(files) else []


def _found(node: Any, key: str, tag: str) -> str | None:
    """An attribute of the node or of its item in the subject hierarchy, else a tag of the file it was loaded from."""
    return _attribute(node, key) or _in_database(node, tag)


def _attribute(node: Any, key: str) -> str | None:
    if node.GetAttribute(key):
        return str(node.GetAttribute(key))
    import slicer

    hierarchy = slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(node.GetScene())
    item = hierarchy.GetItemByDataNode(node) if hierarchy else 0
    return (hierarchy.GetItemAttribute(item, key) or None) if item else None


def _in_database(node: Any, tag: str) -> str | None:
    import slicer

    database = getattr(slicer, "dicomDatabase", None)  # there is none outside the application
    instances = (node.GetAttribute(_INSTANCES) or "").split()
    return (database.instanceValue(instances[0], tag) or None) if database is not None and instances else None
