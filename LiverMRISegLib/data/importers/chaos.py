"""CHAOS: MR of 40 patients as DICOM, T1 in and out of phase and T2-SPIR; labels of 20 as a PNG for every slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from LiverMRISegLib import anatomy
from LiverMRISegLib.anatomy import Sequence
from LiverMRISegLib.data.datalist import Datalist, Scan
from LiverMRISegLib.data.importers.layout import folder
from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io import read_volume, write_segmentation
from LiverMRISegLib.io.atomic import make_folder

_SERIES = (
    ("T1DUAL", "DICOM_anon/InPhase", Sequence.IN_PHASE),
    ("T1DUAL", "DICOM_anon/OutPhase", Sequence.OUT_PHASE),
    ("T2SPIR", "DICOM_anon", Sequence.T2WI),
)
# A grey value of the PNGs may lie this far from the organ's.
_NEAR = 15


def import_chaos(source: Path, output: Path) -> Datalist:
    """MR/1/T2SPIR/DICOM_anon/*.dcm with MR/1/T2SPIR/Ground/*.png, and T1DUAL likewise with InPhase and OutPhase.

    A label map of every labelled series is written to `output`; the images stay DICOM folders.

    Raises:
        InputError: another layout, or PNGs that do not fit their series.
        OutputError: the label maps cannot be written.
    """
    patients = folder(source / "MR" if (source / "MR").is_dir() else source, "CHAOS")
    numbers = sorted((p for p in patients.iterdir() if p.is_dir() and p.name.isdigit()), key=lambda p: int(p.name))
    if not numbers:
        raise InputError(f"{patients}: contains no folders 1, 2, 3 ...; give CHAOS's folder Train_Sets as unpacked")
    scans = [scan for patient in numbers for scan in _patient(patient, output)]
    values = {value: organ.name for value, organ in anatomy.CHAOS.items()}
    return Datalist("CHAOS", "CC BY-SA 4.0", values, scans)


def _patient(patient: Path, output: Path) -> list[Scan]:
    scans = []
    for kind, series, sequence in _SERIES:
        images = folder(patient / kind / series, "CHAOS")
        ground = patient / kind / "Ground"
        labels = None
        if ground.is_dir():
            labels = output / f"chaos-{patient.name}-{sequence.value}.nii.gz"
            _write_labels(images, ground, labels)
        scans.append(Scan(f"chaos-{patient.name}", sequence.value, images, labels, vendor="Philips"))
    return scans


def _write_labels(images: Path, ground: Path, target: Path) -> None:
    """The PNGs in the order of their names belong to the DICOM files in the order of theirs."""
    files, pictures = sorted(images.glob("*.dcm")), sorted(ground.glob("*.png"))
    volume = read_volume(images)
    if not len(files) == len(pictures) == volume.array.shape[0]:
        raise InputError(
            f"{ground}: contains {len(pictures)} PNGs for {len(files)} DICOM files of {volume.array.shape[0]} slices; "
            "get the data set again"
        )
    labels_of = {
        file.name: _labels(picture, volume.array.shape[1:]) for file, picture in zip(files, pictures, strict=True)
    }
    labelmap = np.stack([labels_of[Path(file).name] for file in volume.metadata["dicom_files"]])
    make_folder(target.parent)
    write_segmentation(target, labelmap, anatomy.CHAOS, volume.geometry)


def _labels(picture: Path, shape: tuple[int, ...]) -> np.ndarray:
    grey = sitk.GetArrayFromImage(sitk.ReadImage(str(picture)))
    if grey.shape != tuple(shape):
        raise InputError(f"{picture}: has {grey.shape} pixels, its series {tuple(shape)}; get the data set again")
    labels = np.zeros(grey.shape, np.uint8)
    for value, organ in anatomy.CHAOS_PNG.items():
        labels[np.abs(grey.astype(np.int16) - value) <= _NEAR] = anatomy.CHAOS.value_of(organ)
    if ((grey > 0) & (labels == 0)).any():
        raise InputError(f"{picture}: contains grey values that CHAOS does not have; get the data set again")
    return labels
