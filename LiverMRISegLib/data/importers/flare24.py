"""FLARE 2024, task 3: 50 labelled CT and unlabelled MR of AMOS and of LLD-MMRI, 13 organs (papers 003/004)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from LiverMRISegLib import anatomy
from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.data.datalist import Datalist, Scan
from LiverMRISegLib.data.importers.layout import folder, numbered, some
from LiverMRISegLib.data.importers.lld_mmri import flat_scans
from LiverMRISegLib.errors import InputError

_PARTS = ("FLARE24-Task3-CT", "FLARE24-Task3-MR", "")
_CT = ("FLARE_LabeledCase50", "FLARE22_LabeledCase50")
_AMOS = "AMOS_MR_good_spacing-833"
_LLD = "LLD-MMRI-3984"


def import_flare24(source: Path, _output: Path) -> Datalist:
    """Training/FLARE_LabeledCase50/{images,labels}, Training/AMOS_MR_good_spacing-833, Training/LLD-MMRI-3984.

    They may lie in `source` itself or in its FLARE24-Task3-CT and FLARE24-Task3-MR; either MR folder may be missing.
    AMOS tells no sequence: its MR counts as T1WI, as in `import_amos`.

    Raises:
        InputError: another layout, a CT without labels, or no MR.
    """
    folder(source, "FLARE24")
    training = [source / part / "Training" for part in _PARTS]
    ct = _first(training, _CT)
    if ct is None:
        raise InputError(f"{source}: holds no Training/{_CT[0]}; give the folder that FLARE24-Task3-CT and -MR lie in")
    amos, lld = _first(training, (_AMOS,)), _first(training, (_LLD,))
    of_lld = list(flat_scans(lld)) if lld else []
    if lld and not of_lld:
        raise InputError(f"{lld}: contains no volume; unpack it, or remove it")
    mr = [*(_amos(amos) if amos else []), *of_lld]
    if not mr:
        raise InputError(f"{source}: holds neither MR of Training/{_AMOS} nor of Training/{_LLD}")
    values = {value: organ.name for value, organ in anatomy.FLARE.items()}
    return Datalist("FLARE24 task 3", "the challenge's terms, research use", values, [*_labelled_ct(ct), *mr])


def _first(roots: list[Path], names: tuple[str, ...]) -> Path | None:
    return next((root / name for root in roots for name in names if (root / name).is_dir()), None)


def _labelled_ct(ct: Path) -> Iterator[Scan]:
    pattern = r"FLARE22_Tr_(\d{4})"
    images = numbered(ct / "images", rf"{pattern}_0000\.nii\.gz") if (ct / "images").is_dir() else {}
    labels = numbered(ct / "labels", rf"{pattern}\.nii\.gz") if (ct / "labels").is_dir() else {}
    for number, image in some(images, ct / "images", "FLARE22_Tr_0001_0000.nii.gz").items():
        if number not in labels:
            raise InputError(f"{image}: has no labels/FLARE22_Tr_{number}.nii.gz; the data set is not complete")
        yield Scan(f"flare-{number}", "CT", image, labels[number])


def _amos(images: Path) -> Iterator[Scan]:
    found = numbered(images, r"amos_(\d{4})_0000\.nii\.gz") or numbered(images, r"amos_(\d{4})\.nii\.gz")
    for number, image in some(found, images, "amos_0507_0000.nii.gz").items():
        yield Scan(f"amos-{number}", Sequence.T1WI.value, image)
