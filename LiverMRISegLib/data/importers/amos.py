"""AMOS 2022: CT and MR with 15 labels; the MR volumes are those numbered above 500."""

from __future__ import annotations

from pathlib import Path

from LiverMRISegLib import anatomy
from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.data.datalist import Datalist, Scan
from LiverMRISegLib.data.importers.layout import files_by_number, folder, some
from LiverMRISegLib.errors import InputError

_LAST_CT = 500
_SPLITS = (("Tr", "train", True), ("Va", "validation", True), ("Ts", "test", False))


def import_amos(source: Path, _output: Path) -> Datalist:
    """imagesTr/amos_0001.nii.gz with labelsTr/amos_0001.nii.gz; imagesVa and imagesTs where they are there.

    The MR sequence is not told; it counts as T1WI, which most are (our choice).

    Raises:
        InputError: another layout, or a training image without labels.
    """
    scans: list[Scan] = []
    for ending, split, must_have in _SPLITS:
        if ending == "Tr" or (source / f"images{ending}").is_dir():
            scans.extend(_split(source, ending, split, must_have))
    values = {value: organ.name for value, organ in anatomy.AMOS.items()}
    return Datalist("AMOS 2022", "CC BY-NC-SA 4.0", values, scans)


def _split(source: Path, ending: str, split: str, must_have: bool) -> list[Scan]:
    pattern = r"amos_(\d{4})\.nii\.gz"
    images = folder(source / f"images{ending}", "AMOS 2022")
    label_folder = source / f"labels{ending}"
    labels = files_by_number(folder(label_folder, "AMOS 2022"), pattern) if must_have or label_folder.is_dir() else {}
    scans = []
    for number, image in some(files_by_number(images, pattern), images, "amos_0001.nii.gz").items():
        if must_have and number not in labels:
            raise InputError(f"{image}: has no labels{ending}/{image.name}; the data set is not complete")
        sequence = "CT" if int(number) <= _LAST_CT else Sequence.T1WI.value
        scans.append(Scan(f"amos-{number}", sequence, image, labels.get(number), split=split))
    return scans
