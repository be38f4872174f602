"""Which DICOM series a folder has. Names of patients are never read."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.dicom import tags
from LiverMRISegLib.io.dicom.elements import DamagedDicomError, is_dicom_file
from LiverMRISegLib.io.dicom.folder_files import (
    dicom_files,
    has_lost_files,
    is_medium,
    no_longer_dicom,
    refuse_lost_files,
)
from LiverMRISegLib.io.dicom.header import DicomHeader, read_dicom_header

# Media storage SOP class (0002,0002), and the classes of MR, CT and secondary capture images (DICOM PS3.6, annex A).
_CLASS_ELEMENT, _STORAGE = b"\x02\x00\x02\x00UI", "1.2.840.10008.5.1.4.1.1."
_DIRECTORY_CLASS, _PRIVATE = "1.2.840.10008.1.3.10", ""
_IMAGE_CLASSES = frozenset({"4", "4.1", "4.3", "4.4", "2", "2.1", "2.2", "7", "7.2", "7.3"})
# Spectroscopy is 4.2; waveforms, presentation states, raw data and segmentations, reports, documents, radiotherapy.
_RESULT_CLASSES = frozenset({"9", "11", "66", "67", "68", "88", "104", "481"})
_SEGMENTATION_CLASS = "66"
_MOST_FILES, _MOST_NAMED = 200_000, 10


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


@dataclass(frozen=True)
class FoundSeries:
    """A series and the headers of its files."""

    info: SeriesInfo
    headers: tuple[DicomHeader, ...]


def is_dicom_folder(folder: Path) -> bool:
    """Whether the folder has a DICOM image, sound, damaged or lost; results such as DICOM SEG are not images.

    Sub-folders count only beside a DICOMDIR, as on a CD.
    """
    if not folder.is_dir():
        return False
    return has_lost_files(folder) or any(_header(path) is not None for path in dicom_files(folder))


def is_dicom_seg(path: Path) -> bool:
    """Whether a file is a DICOM SEG, by its header; of a damaged one, by its first bytes."""
    if not is_dicom_file(path):
        return False
    try:
        return read_dicom_header(path).text(tags.MODALITY) == "SEG"
    except InputError:
        return (_storage_class(path) or "").split(".")[0] == _SEGMENTATION_CLASS


def list_series(folder: Path) -> list[SeriesInfo]:
    """The image series in `folder` by their number; of a CD, those below its DICOMDIR.

    Raises:
        InputError: there is none, or a file is damaged.
    """
    return [found.info for found in find_series(folder)]


def find_series(folder: Path) -> list[FoundSeries]:
    """As `list_series`, with the headers of the files."""
    grouped: dict[str, list[DicomHeader]] = {}
    damaged: list[Path] = []
    refuse_lost_files(folder)
    damaged += no_longer_dicom(folder)
    for path in dicom_files(folder):
        header = _header(path)
        if isinstance(header, DicomHeader):
            grouped.setdefault(header.series, []).append(header)
        elif header is not None:
            damaged.append(path)
    if damaged:
        raise InputError(
            f"{folder}: {len(damaged)} DICOM file(s) are truncated or damaged, the first is "
            f"{damaged[0].relative_to(folder)}; copy or export the series again"
        )
    if not grouped:
        raise _no_images(folder)
    found = [FoundSeries(_info(uid, headers), tuple(headers)) for uid, headers in grouped.items()]
    return sorted(found, key=lambda one: (one.info.number, one.info.uid))


def _info(uid: str, headers: list[DicomHeader]) -> SeriesInfo:
    first = headers[0]
    number = first.text(tags.SERIES_NUMBER)
    is_number = number.lstrip("-").isdecimal() and len(number) < 12
    files = tuple(str(header.path) for header in headers)
    return SeriesInfo(
        uid, first.text(tags.DESCRIPTION), first.text(tags.MODALITY), int(number) if is_number else 0, files
    )


def _no_images(folder: Path) -> InputError:
    if not folder.is_dir():
        return InputError(f"{folder}: no such folder; check the path")
    below = itertools.islice(folders_with_images(folder), _MOST_NAMED)
    inside = [str(path.relative_to(folder)) for path in below]
    where = f"one of its folders: {', '.join(inside)}" if inside else "the folder with the images of a series"
    return InputError(f"{folder}: contains no DICOM image; give {where}")


def folders_with_images(folder: Path) -> Iterator[Path]:
    """The folders below `folder` that have DICOM images, by name; none below a DICOMDIR, nor hidden ones.

    Links to folders are followed, each folder is looked at once.
    """
    seen: set[tuple[int, int]] = set()
    waiting = [folder]
    while waiting and len(seen) < _MOST_FILES:
        here = waiting.pop()
        state = here.stat()
        if (state.st_dev, state.st_ino) in seen:
            continue
        seen.add((state.st_dev, state.st_ino))
        if here != folder and is_dicom_folder(here):
            yield here
        if not is_medium(here):
            inside = (path for path in here.iterdir() if not path.name.startswith(".") and path.is_dir())
            waiting += sorted(inside, reverse=True)


def _header(path: Path) -> DicomHeader | DamagedDicomError | None:
    """The header of an image; the error of a damaged one; None for what is not an image."""
    storage = _storage_class(path)
    may_be_image = storage is None or storage in _IMAGE_CLASSES
    try:
        header = read_dicom_header(path)
    except DamagedDicomError as error:
        # One of an unknown class may be an image whose class is damaged too.
        return None if storage == _DIRECTORY_CLASS or _is_of_results(storage) else error
    if header.is_image:
        return header
    # Cut off before its pixels, at the end of an element; or a damaged header hides them.
    is_cut = header.elements.pixels is None and may_be_image and not header.is_result
    return DamagedDicomError(f"{path}: has no pixels; copy or export it again") if is_cut else None


def _is_of_results(storage: str | None) -> bool:
    return storage == "4.2" or (storage or "").split(".")[0] in _RESULT_CLASSES


def _storage_class(path: Path) -> str | None:
    """The end of the storage class that the first bytes give, which survive a truncation.

    Also the directory's class; "" for a private one; None where there is none, or a damaged one.
    """
    with path.open("rb") as file:
        head = file.read(1024)
    place = head.find(_CLASS_ELEMENT)
    if place < 0:
        return None
    length = int.from_bytes(head[place + 6 : place + 8], "little")
    uid = head[place + 8 : place + 8 + length].strip(b"\0 ").decode("ascii", "replace")
    if not re.fullmatch(r"[0-9.]+", uid):
        return None
    if uid.startswith(_STORAGE):
        return uid.removeprefix(_STORAGE)
    if uid == _DIRECTORY_CLASS:
        return uid
    return None if uid.startswith("1.2.840.10008") else _PRIVATE
