"""LiQA / CARE-Liver: patients of several vendors with any subset of seven sequences; GED4 of a few has a liver mask."""

from __future__ import annotations

import re
from pathlib import Path

from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.data.datalist import Datalist, Scan
from LiverMRISegLib.data.importers.layout import folder
from LiverMRISegLib.errors import InputError

_FILES = {
    r"T1\.nii\.gz": Sequence.T1WI,
    r"T2\.nii\.gz": Sequence.T2WI,
    r"DWI(?:_(?P<b>\d+))?\.nii\.gz": Sequence.DWI,
    r"GED1\.nii\.gz": Sequence.GED1,
    r"GED2\.nii\.gz": Sequence.GED2,
    r"GED3\.nii\.gz": Sequence.GED3,
    r"GED4\.nii\.gz": Sequence.GED4,
}
_MASK = "mask_{sequence}.nii.gz"


def import_liqa(source: Path, _output: Path) -> Datalist:
    """Vendor_A/1009-A-S1/{T1,T2,DWI_800,GED1..GED4}.nii.gz, with mask_GED4.nii.gz beside some.

    The number of DWI is its b-value; of a patient with two both are listed, as series "b400" and "b800". The vendor's
    folder names vendor and centre (A; B1 and B2 are two centres of vendor B).

    Raises:
        InputError: another layout, a patient without a known file, or a file that is none of these.
    """
    vendors = sorted(path for path in folder(source, "LiQA").glob("Vendor_*") if path.is_dir())
    if not vendors:
        raise InputError(f"{source}: contains no folder Vendor_A, Vendor_B1 ...; give LiQA's training data as unpacked")
    scans = []
    for vendor in vendors:
        for patient in sorted(path for path in vendor.iterdir() if path.is_dir()):
            scans.extend(_patient(patient, vendor.name.removeprefix("Vendor_")))
    return Datalist("LiQA", "the challenge's terms, research use", {1: "liver"}, scans)


def _patient(patient: Path, centre: str) -> list[Scan]:
    scans = []
    for file in sorted(patient.glob("*.nii.gz")):
        if file.name.startswith("mask_"):
            continue
        named = ((re.fullmatch(pattern, file.name), sequence) for pattern, sequence in _FILES.items())
        match, sequence = next((pair for pair in named if pair[0]), (None, None))
        if match is None or sequence is None:
            raise InputError(f"{file}: is not a sequence of LiQA; move what was added to the data set elsewhere")
        mask = patient / _MASK.format(sequence=file.name.removesuffix(".nii.gz"))
        labels = mask if mask.is_file() else None
        b_value = match.groupdict().get("b")
        series = f"b{b_value}" if b_value else ""
        scans.append(Scan(patient.name, sequence.value, file, labels, centre[:1], centre, series=series))
    if not scans:
        raise InputError(f"{patient}: contains no volume like GED4.nii.gz; the data set is not complete")
    return scans
