"""A DICOM series written by pydicom."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from helpers.volumes import make_volume
from LiverMRISegLib.volume import Volume


def whole_numbered_volume(direction=None) -> Volume:
    """A volume whose values fit 16 bits without a sign."""
    volume = make_volume(direction)
    return Volume(volume.array.astype(np.uint16).astype(np.float32), volume.geometry)


def edited_series(
    folder: Path, change: Callable[[Any, int], object], only: Container[int] | None = None, volume: Volume | None = None
) -> Path:
    """A DICOM series with `change(dataset, number)` done to its files."""
    import pydicom

    write_dicom_series(folder, volume or whole_numbered_volume())
    for number, path in enumerate(sorted(folder.iterdir())):
        if only is None or number in only:
            data = pydicom.dcmread(path)
            change(data, number)
            data.save_as(path)
    return folder


def write_dicom_series(folder: Path, volume: Volume, *, skip=(), uid_suffix="1", description="T2 axial") -> None:
    """An MR series of one file a slice, written by pydicom."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset

    folder.mkdir(parents=True, exist_ok=True)
    direction = np.array(volume.geometry.direction)
    for number, plane in enumerate(volume.array):
        if number in skip:
            continue
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID = pydicom.uid.MRImageStorage
        meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.3680043.10.1.{uid_suffix}.{number + 1}"
        meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        path = folder / f"image_{uid_suffix}_{number:03d}.dcm"
        data = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
        data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID
        data.PatientName, data.PatientID = "Secret^Name", "secret-id"
        data.PatientBirthDate, data.PatientSex = "", ""
        data.StudyInstanceUID = "1.2.826.0.1.3680043.10.9"
        data.SeriesInstanceUID = f"1.2.826.0.1.3680043.10.2.{uid_suffix}"
        data.FrameOfReferenceUID = "1.2.826.0.1.3680043.10.8"
        data.StudyDate, data.StudyTime, data.StudyID, data.AccessionNumber = "20200101", "000000", "1", ""
        data.ReferringPhysicianName, data.PositionReferenceIndicator = "", ""
        data.Modality, data.SeriesDescription, data.Manufacturer = "MR", description, "Maker"
        data.SeriesNumber, data.InstanceNumber = int(uid_suffix), number + 1
        data.ImagePositionPatient = [f"{v:.6f}" for v in volume.geometry.world_of((0, 0, number))]
        data.ImageOrientationPatient = [f"{v:.6f}" for v in (*direction[:, 0], *direction[:, 1])]
        data.PixelSpacing = [volume.geometry.spacing[1], volume.geometry.spacing[0]]
        data.SliceThickness = volume.geometry.spacing[2]
        data.Rows, data.Columns = plane.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        data.ImageType = ["ORIGINAL", "PRIMARY"]
        data.PixelData = plane.astype(np.uint16).tobytes()
        data.save_as(path, enforce_file_format=True)


def write_shared_series(
    folder: Path, volumes: Sequence[Volume], change: Callable[[Any, int, int], object], skip: Container[Any] = ()
) -> Path:
    """A series that holds all `volumes`, one after the other; `change(dataset, volume, slice)` is done to each file.

    `skip`: pairs of volume and slice that are not there.
    """
    import pydicom

    for number, volume in enumerate(volumes):
        write_dicom_series(folder.parent / f"part {number}", volume)
        for place, path in enumerate(sorted((folder.parent / f"part {number}").iterdir())):
            data = pydicom.dcmread(path)
            uid = f"1.2.826.0.1.3680043.10.1.{number + 1}.{place + 1}"
            data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = uid
            data.InstanceNumber = number * len(volume.array) + place + 1
            change(data, number, place)
            folder.mkdir(exist_ok=True)
            if (number, place) not in skip:
                data.save_as(folder / f"IM{place * len(volumes) + number:04d}")
    return folder


def dicom_item(**values: Any) -> Any:
    """An item of a sequence."""
    import pydicom

    dataset = pydicom.Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def write_enhanced(folder: Path, volume: Volume, order=None, change=lambda data: None) -> Path:
    """The volume as one Enhanced MR file with the slices of `order`, in that order."""
    import pydicom

    order = range(len(volume.array)) if order is None else order
    write_dicom_series(folder, volume)
    files = sorted(folder.iterdir())
    data = pydicom.dcmread(files[0])
    for file in files:
        file.unlink()
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedMRImageStorage
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        delattr(data, keyword)
    direction, spacing = np.array(volume.geometry.direction), volume.geometry.spacing
    orientation = dicom_item(ImageOrientationPatient=[f"{v:.6f}" for v in (*direction[:, 0], *direction[:, 1])])
    measures = dicom_item(PixelSpacing=[spacing[1], spacing[0]], SliceThickness=spacing[2])
    data.SharedFunctionalGroupsSequence = [
        dicom_item(PlaneOrientationSequence=[orientation], PixelMeasuresSequence=[measures])
    ]
    places = [[f"{v:.6f}" for v in volume.geometry.world_of((0, 0, number))] for number in order]
    data.PerFrameFunctionalGroupsSequence = [
        dicom_item(
            PlanePositionSequence=[dicom_item(ImagePositionPatient=place)],
            FrameContentSequence=[
                dicom_item(DimensionIndexValues=[1, n + 1], StackID="1", InStackPositionNumber=n + 1)
            ],
        )
        for n, place in enumerate(places)
    ]
    data.NumberOfFrames, data.PixelData = len(places), volume.array[list(order)].tobytes()
    change(data)
    data.save_as(folder / "frames.dcm")
    return folder
