"""FLARE 2024 and 2025, task 3: labelled CT, unlabelled MR of AMOS and of LLD-MMRI, 13 organs (papers 003/004).

Both layouts: the one of 2024 (FLARE24-Task3-CT and FLARE24-Task3-MR, each with Training, and PublicValidation) and the
present one of the hub (train_CT_gt_label, train_CT_pseudolabel, train_MRI_unlabeled, validation).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from LiverMRISegLib import anatomy
from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.data.datalist import Datalist, Scan
from LiverMRISegLib.data.importers.layout import files_by_number, folder, some
from LiverMRISegLib.data.importers.lld_mmri import flat_scans
from LiverMRISegLib.errors import InputError

LICENCE = "the challenge's terms, research use"
# Folders of images and of labels, the layout of 2024 first.
_CT = (
    ("Training/FLARE_LabeledCase50/images", "Training/FLARE_LabeledCase50/labels"),
    ("Training/FLARE22_LabeledCase50/images", "Training/FLARE22_LabeledCase50/labels"),
    ("train_CT_gt_label/imagesTr", "train_CT_gt_label/labelsTr"),
)
_PSEUDO_CT = (
    ("train_CT_pseudolabel/imagesTr", "train_CT_pseudolabel/flare22_aladdin5_pseudo"),
    ("train_CT_pseudolabel/imagesTr", "train_CT_pseudolabel/pseudo_label_blackbean_flare22"),
)
_VALIDATION = (
    ("PublicValidation/imagesVal", "PublicValidation/labelsVal"),
    ("validation/MRI_imagesVal", "validation/MRI_labelsVal"),
)
_AMOS = ("Training/AMOS_MR_good_spacing-833", "train_MRI_unlabeled/AMOS-833")
_LLD = ("Training/LLD-MMRI-3984", "train_MRI_unlabeled/LLD-MMRI-3984")
_PARTS = ("FLARE24-Task3-CT", "FLARE24-Task3-MR", "")
_AMOS_NAME = r"amos_(\d{4})(?:_0000)?\.nii\.gz"


def import_flare24(source: Path, _output: Path) -> Datalist:
    """The 50 labelled CT, all MR for training, and the labelled MR of the validation (split "validation").

    The folders may be in `source` itself or in its FLARE24-Task3-CT and FLARE24-Task3-MR; AMOS's, LLD-MMRI's and the
    validation's may be missing, but not all MR. AMOS gives no sequence: its MR counts as T1WI, as in `import_amos`.

    Raises:
        InputError: another layout, a CT or validation image without labels, or no MR.
    """
    folder(source, "FLARE24")
    ct = _pair(source, _CT)
    if ct is None:
        raise InputError(f"{source}: contains neither {_CT[0][0]} nor {_CT[-1][0]}; give the folder that they are in")
    amos, lld = _first(source, _AMOS), _first(source, _LLD)
    of_lld = list(flat_scans(lld)) if lld else []
    if lld and not of_lld:
        raise InputError(f"{lld}: contains no volume; unpack it, or remove it")
    mr = [*(_amos(amos) if amos else []), *of_lld]
    if not mr:
        raise InputError(f"{source}: contains neither MR of {' or '.join(_AMOS)} nor of {' or '.join(_LLD)}")
    validation = _pair(source, _VALIDATION)
    judged = list(_validation(*validation)) if validation else []
    values = {value: organ.name for value, organ in anatomy.FLARE.items()}
    scans = [*_labelled_ct(*ct, r"FLARE22_Tr_(\d{4})", "flare"), *mr, *judged]
    return Datalist("FLARE24 task 3", LICENCE, values, scans)


def import_flare24_pseudo_ct(source: Path, _output: Path) -> Datalist:
    """The 2,000 CT with labels by FLARE22's best networks (paper 004 trains on them too), of the hub's layout.

    Raises:
        InputError: another layout, or a CT without labels.
    """
    pair = _pair(folder(source, "FLARE24"), _PSEUDO_CT)
    if pair is None:
        raise InputError(f"{source}: contains no {_PSEUDO_CT[0][1]} and no {_PSEUDO_CT[1][1]} beside imagesTr")
    values = {value: organ.name for value, organ in anatomy.FLARE.items()}
    scans = list(_labelled_ct(*pair, r"(.+?)", "flare-pseudo"))
    return Datalist("FLARE24 task 3, CT with pseudo labels", LICENCE, values, scans)


def _first(source: Path, names: tuple[str, ...]) -> Path | None:
    return next((p for part in _PARTS for name in names if (p := source / part / name).is_dir()), None)


def _pair(source: Path, pairs: tuple[tuple[str, str], ...]) -> tuple[Path, Path] | None:
    """The first folders of images and labels of which the images are there."""
    roots = [source / part for part in _PARTS]
    found = [(root / images, root / labels) for root in roots for images, labels in pairs if (root / images).is_dir()]
    complete = [pair for pair in found if pair[1].is_dir()]
    return next(iter(complete or found), None)


def _labelled_ct(images: Path, label_folder: Path, pattern: str, patient: str) -> Iterator[Scan]:
    found = files_by_number(images, rf"{pattern}_0000\.nii\.gz")
    labels = files_by_number(label_folder, rf"{pattern}(?:_0000)?\.nii\.gz") if label_folder.is_dir() else {}
    for number, image in some(found, images, "FLARE22_Tr_0001_0000.nii.gz").items():
        if number not in labels:
            name = image.name.replace("_0000.nii.gz", ".nii.gz")
            raise InputError(f"{image}: has no {label_folder.name}/{name}; the data set is not complete")
        yield Scan(f"{patient}-{number}", "CT", image, labels[number])


def _amos(images: Path) -> Iterator[Scan]:
    for number, image in some(files_by_number(images, _AMOS_NAME), images, "amos_0507_0000.nii.gz").items():
        yield Scan(f"amos-{number}", Sequence.T1WI.value, image)


def _validation(images: Path, label_folder: Path) -> Iterator[Scan]:
    of_amos = files_by_number(images, _AMOS_NAME)
    found = [(f"amos-{number}", Sequence.T1WI.value, image) for number, image in of_amos.items()]
    others = set(of_amos.values())
    found += [(s.patient, s.sequence, s.image) for s in flat_scans(images, leave_out=others)]
    if not found:
        raise InputError(f"{images}: contains no volume; unpack it, or remove it")
    for patient, sequence, image in found:
        labels = label_folder / image.name.replace("_0000.nii.gz", ".nii.gz")
        if not labels.is_file():
            raise InputError(f"{image}: has no {label_folder.name}/{labels.name}; the data set is not complete")
        yield Scan(patient, sequence, image, labels, split="validation")
