"""Slicer's DICOM database, as far as the panel uses it: what files hold which instance, and folders that are added.

Rules read in Slicer 5.10 (DICOMLib/DICOMUtils.py) and CTK (ctkDICOMDatabase): `importDicom` adds every DICOM file under
a folder where it is; `fileForInstance` is "" for an instance that is not known; `isOpen` is a property.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import Any


class DicomDatabase:
    """`slicer.dicomDatabase`."""

    isOpen = True  # noqa: N815

    def __init__(self) -> None:
        self._files: dict[str, str] = {}

    def add(self, folder: Path) -> list[str]:
        """Index a folder; the instances that were found."""
        import pydicom

        found = []
        for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
            uid = str(pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID)
            self._files[uid] = str(path)
            found.append(uid)
        return found

    def fileForInstance(self, uid: str) -> str:  # noqa: N802
        return self._files.get(uid, "")

    def instanceValue(self, uid: str, tag: str) -> str:  # noqa: N802
        import pydicom

        if uid not in self._files:
            return ""
        group, element = (int(part, 16) for part in tag.split(","))
        found = pydicom.dcmread(self._files[uid], stop_before_pixels=True).get((group, element))
        return str(found.value) if found is not None else ""


def install(database: DicomDatabase) -> dict[str, types.ModuleType]:
    """The module DICOMLib with DICOMUtils.importDicom; what to put into `sys.modules`."""

    def import_dicom(folder: str, dicomDatabase: Any = None, copyFiles: bool = False) -> bool:  # noqa: N803
        return bool((dicomDatabase or database).add(Path(folder)))

    utils = types.ModuleType("DICOMLib.DICOMUtils")
    utils.importDicom = import_dicom  # type: ignore[attr-defined]
    package = types.ModuleType("DICOMLib")
    package.DICOMUtils = utils  # type: ignore[attr-defined]
    return {"DICOMLib": package, "DICOMLib.DICOMUtils": utils}
