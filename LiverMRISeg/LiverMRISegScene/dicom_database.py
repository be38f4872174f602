"""Slicer's DICOM database: files written by us are added to it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

_FOLDER = "LiverMRISeg"


def can_write() -> bool:
    """Whether the package that writes DICOM SEG and SR is there: Slicer has it since 5.12.

    It is not installed into an older one, whose pydicom it would replace.
    """
    return importlib.util.find_spec("highdicom") is not None


def free_folder(parent: Path) -> Path:
    """A folder LiverMRISeg, LiverMRISeg_2, ... that is not there yet: only what is in it is added to the database."""
    number, folder = 1, parent / _FOLDER
    while folder.exists():
        number += 1
        folder = parent / f"{_FOLDER}_{number}"
    return folder


def add_to_database(folder: Path) -> bool:
    """Add the DICOM files of a folder to Slicer's database; False if there is none, or it did not take them."""
    import slicer

    database = getattr(slicer, "dicomDatabase", None)
    if database is None or not database.isOpen:
        return False
    from DICOMLib import DICOMUtils

    return bool(DICOMUtils.importDicom(str(folder)))
