"""DICOM folders: which series they hold, and one series as a volume. Names of patients are never read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import SimpleITK as sitk

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.dicom.frames import arrange_frames
from LiverMRISegLib.io.dicom.pixels import lacks_pixels
from LiverMRISegLib.io.dicom.positions import Plane, check_planes
from LiverMRISegLib.io.headers import is_dicom_file, quietly
from LiverMRISegLib.volume import Volume

_TAGS = {
    "modality": "0008|0060",
    "series description": "0008|103e",
    "manufacturer": "0008|0070",
    "model name": "0008|1090",
    "protocol": "0018|1030",
    "sequence name": "0018|0024",
    "contrast agent": "0018|0010",
}
_POSITION, _ORIENTATION, _NUMBER = "0020|0032", "0020|0037", "0020|0011"
_SPACING, _SLOPE, _INTERCEPT = "0028|0030", "0028|1053", "0028|1052"
_ROWS, _COLUMNS, _SAMPLES, _FRAMES, _BITS = "0028|0010", "0028|0011", "0028|0002", "0028|0008", "0028|0100"
_LISTED = (_TAGS["series description"], _TAGS["modality"])
# Media storage SOP class (0002,0002), and the classes of MR, CT and secondary capture images (DICOM PS3.6, annex A).
_CLASS_ELEMENT, _STORAGE = b"\x02\x00\x02\x00UI", "1.2.840.10008.5.1.4.1.1."
_IMAGE_CLASSES = frozenset({"4", "4.1", "4.3", "4.4", "2", "2.1", "2.2", "7", "7.2", "7.3"})
# What is stored beside images and is none to be segmented: results, reports, plans, presentation states.
_NO_IMAGES = frozenset({"SEG", "SR", "PR", "KO", "REG", "RTSTRUCT", "RTDOSE", "RTPLAN", "DOC"})


@dataclass(frozen=True)
class SeriesInfo:
    """One series of a DICOM folder."""

    uid: str
    description: str
    modality: str
    number: int
    files: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of images."""
        return len(self.files)

    def __str__(self) -> str:
        return f"{self.uid} ({self.description or 'no description'}, {self.modality}, {self.count} images)"


def is_dicom_folder(folder: Path) -> bool:
    """Whether the folder itself (not its subfolders) holds a DICOM image; results such as DICOM SEG are none."""
    return folder.is_dir() and any(_is_image(_header(path)) for path in _dicom_files(folder))


def list_series(folder: Path) -> list[SeriesInfo]:
    """The image series in `folder` by their number; InputError if there is none."""
    series: list[SeriesInfo] = []
    unread = {path.name for path in _dicom_files(folder) if _claims_to_be_an_image(path)}
    for uid in quietly(lambda: sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))):
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        unread.difference_update(Path(file).name for file in files)  # GDCM spells the folder in its own way
        first = _header(Path(files[0])) or {}
        if _is_image(first):
            description, modality, number = (_text(first, tag) for tag in (*_LISTED, _NUMBER))
            is_number = number.lstrip("-").isdigit()
            series.append(SeriesInfo(uid, description, modality, int(number) if is_number else 0, tuple(files)))
    if unread:
        raise InputError(
            f"{folder}: {len(unread)} DICOM file(s) are truncated or damaged, the first is "
            f"{min(unread)}; copy or export the series again"
        )
    if not series:
        raise _no_images(folder)
    return sorted(series, key=lambda s: (s.number, s.uid))


def _no_images(folder: Path) -> InputError:
    if not folder.is_dir():
        return InputError(f"{folder}: no such folder; check the path")
    inside = [path.name for path in sorted(folder.iterdir()) if path.is_dir() and is_dicom_folder(path)]
    where = f"one of its folders: {', '.join(inside[:10])}" if inside else "the folder with the images of a series"
    return InputError(f"{folder}: holds no DICOM image; give {where}")


def _dicom_files(folder: Path) -> Iterator[Path]:
    """The DICOM files directly in `folder`, without a medium's directory and hidden files, which GDCM passes over."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        is_listed = path.name.upper() != "DICOMDIR" and not path.name.startswith(".")
        if is_listed and path.is_file() and is_dicom_file(path):
            yield path


def _is_image(header: dict[str, str] | None) -> bool:
    return bool(header) and _text(header or {}, _TAGS["modality"]) not in _NO_IMAGES


def _claims_to_be_an_image(path: Path) -> bool:
    """Whether the file is MR, CT or secondary capture by the class in its first bytes, which survive a truncation."""
    with path.open("rb") as file:
        head = file.read(1024)
    place = head.find(_CLASS_ELEMENT)
    length = int.from_bytes(head[place + 6 : place + 8], "little")
    uid = head[place + 8 : place + 8 + length].strip(b"\0 ").decode("ascii", "replace") if place >= 0 else ""
    return uid.startswith(_STORAGE) and uid.removeprefix(_STORAGE) in _IMAGE_CLASSES


def _text(header: dict[str, str], tag: str) -> str:
    return header.get(tag, "").strip().strip("\0")


def read_series(folder: Path, uid: str | None = None) -> Volume:
    """One series as a volume; `metadata["dicom_files"]` lists its files in the order of the slices.

    Raises:
        InputError: no images, several series and no `uid`, missing slices, or images that do not fit together.
    """
    series = _chosen(folder, list_series(folder), uid)
    files = [Path(file) for file in series.files]
    headers = [_header(file) or {} for file in files]
    metadata = {**facts(files[0]), "series": series.uid}
    if len(files) == 1:
        return replace(read_file(files[0], headers[0], metadata), name=folder.name)
    for file, header in zip(files, headers, strict=True):
        _check_pixels(file, header)
    check_planes(f"{folder}: series {series.uid}", [_plane(header) for header in headers])
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(series.files)
    if len({(_text(h, _SLOPE), _text(h, _INTERCEPT)) for h in headers}) > 1:
        # Each image has a scale of its own: as integers, the type of the first, fractions would be cut off.
        reader.SetOutputPixelType(sitk.sitkFloat32)
    try:
        image = quietly(reader.Execute)
    except RuntimeError as error:
        raise InputError(f"{folder}: the images of series {series.uid} do not fit together; export it again") from error
    return Volume.from_sitk(image, folder.name, {**metadata, "dicom_files": list(series.files)})


def read_file(path: Path, header: dict[str, str] | None = None, metadata: dict[str, Any] | None = None) -> Volume:
    """The volume of one DICOM file with many frames; `metadata["dicom_files"]` is that file.

    Raises:
        InputError: it is a single image, a segmentation, or its frames are no volume; or pydicom is not installed.
    """
    header = header if header is not None else _header(path)
    if header is None:
        raise InputError(f"{path}: holds no image that can be read; copy or export it again")
    if not _is_image(header):
        raise InputError(f"{path}: is no image but a result made from one; give the image instead")
    frames = int((_numbers(header, _FRAMES) or [1.0])[0])
    if frames < 2:
        raise InputError(f"{path}: is a single DICOM image; give the folder with all images of the series")
    _check_pixels(path, header)
    try:
        image = quietly(lambda: sitk.ReadImage(str(path)))
    except RuntimeError as error:
        raise InputError(f"{path}: its frames cannot be read; copy or export it again") from error
    known = metadata if metadata is not None else facts(path)
    return arrange_frames(path, sitk.GetArrayFromImage(image), path.stem, {**known, "dicom_files": [str(path)]})


def _check_pixels(path: Path, header: dict[str, str]) -> None:
    if int((_numbers(header, _SAMPLES) or [1.0])[0]) != 1:
        raise InputError(f"{path}: is a colour image; choose a series of grey ones")
    if lacks_pixels(path, _pixel_bytes(header)):
        raise InputError(f"{path}: lacks part of its pixels; copy or export the series again")


def facts(path: Path) -> dict[str, Any]:
    """How the image was acquired, from the header of one file: nothing that names a person."""
    header = _header(path) or {}
    found = {name: _text(header, tag) for name, tag in _TAGS.items()}
    return {name: value for name, value in found.items() if value}


def _chosen(folder: Path, series: list[SeriesInfo], uid: str | None) -> SeriesInfo:
    if uid is None and len(series) == 1:
        return series[0]
    listed = "; ".join(str(s) for s in series)
    if uid is None:
        raise InputError(f"{folder}: holds {len(series)} series, choose one with --series UID: {listed}")
    for candidate in series:
        if candidate.uid == uid:
            return candidate
    raise InputError(f"{folder}: holds no series {uid}; it holds: {listed}")


def _header(path: Path) -> dict[str, str] | None:
    """The header's tags, or None where the file holds no image."""
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        quietly(reader.ReadImageInformation)
    except RuntimeError:
        return None
    return {key: reader.GetMetaData(key) for key in reader.GetMetaDataKeys()}


def _pixel_bytes(header: dict[str, str]) -> int:
    """How many bytes rows x columns x samples x frames pixels take, uncompressed."""
    counts = [int((_numbers(header, tag) or [1.0])[0]) for tag in (_ROWS, _COLUMNS, _SAMPLES, _FRAMES)]
    bits = (_numbers(header, _BITS) or [8.0])[0]
    return math.prod(counts) * int(bits) // 8


def _plane(header: dict[str, str]) -> Plane:
    return Plane(*(tuple(_numbers(header, tag)) for tag in (_POSITION, _ORIENTATION, _SPACING)))


def _numbers(header: dict[str, str], tag: str) -> list[float]:
    """The numbers of a tag; none where it is missing or no number."""
    try:
        return [float(text) for text in _text(header, tag).split("\\")]
    except ValueError:
        return []
