"""ATLAS 2023: 60 contrast-enhanced T1 volumes, labels 1 liver and 2 tumour; both are liver here (paper 000)."""

from __future__ import annotations

from pathlib import Path

from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.data.datalist import Datalist, Scan
from LiverMRISegLib.data.importers.layout import files_by_number, folder, some
from LiverMRISegLib.errors import InputError


def import_atlas(source: Path, _output: Path) -> Datalist:
    """imagesTr/im0.nii.gz with labelsTr/lb0.nii.gz, and so on.

    The phase differs from patient to patient and is not told; all count as portal venous, the commonest (our choice).

    Raises:
        InputError: another layout, or an image without labels.
    """
    images = folder(source / "imagesTr", "ATLAS 2023")
    labels = files_by_number(folder(source / "labelsTr", "ATLAS 2023"), r"lb(\d+)\.nii\.gz")
    scans = []
    for number, image in some(files_by_number(images, r"im(\d+)\.nii\.gz"), images, "im0.nii.gz").items():
        if number not in labels:
            raise InputError(f"{image}: has no labelsTr/lb{number}.nii.gz; the data set is not complete")
        scans.append(Scan(f"atlas-{number}", Sequence.C_VENOUS.value, image, labels[number]))
    return Datalist("ATLAS 2023", "CC BY-NC", {1: "liver", 2: "liver"}, scans)
