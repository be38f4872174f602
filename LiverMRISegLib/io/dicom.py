"""DICOM folders: which series they hold, and one series as a volume. Names of patients are never read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.headers import quietly
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
_TOLERANCE = 0.1


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


def is_dicom_file(path: Path) -> bool:
    """Whether the file begins as DICOM files do."""
    try:
        with path.open("rb") as file:
            return file.read(132)[128:] == b"DICM"
    except OSError:
        return False


def is_dicom_folder(folder: Path) -> bool:
    """Whether the folder itself (not its subfolders) holds a DICOM image."""
    return folder.is_dir() and any(is_dicom_file(path) for path in sorted(folder.iterdir()) if path.is_file())


def list_series(folder: Path) -> list[SeriesInfo]:
    """The image series in `folder` by their number; InputError if there is none."""
    series = []
    for uid in quietly(lambda: sitk.ImageSeriesReader.GetGDCMSeriesIDs(str(folder))):
        files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(str(folder), uid)
        first = _header(Path(files[0]))
        if first is not None:
            number = first.get(_NUMBER, "").strip()
            series.append(
                SeriesInfo(
                    uid,
                    first.get(_TAGS["series description"], "").strip(),
                    first.get(_TAGS["modality"], "").strip(),
                    int(number) if number.lstrip("-").isdigit() else 0,
                    tuple(files),
                )
            )
    if not series:
        raise InputError(f"{folder}: holds no DICOM image; give the folder with the images of a series")
    return sorted(series, key=lambda s: (s.number, s.uid))


def read_series(folder: Path, uid: str | None = None) -> Volume:
    """One series as a volume; `metadata["dicom_files"]` lists its files in the order of the slices.

    Raises:
        InputError: no images, several series and no `uid`, missing slices, or images that do not fit together.
    """
    series = _chosen(folder, list_series(folder), uid)
    if len(series.files) > 1:
        _check_positions(folder, series)
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(series.files)
    try:
        image = quietly(reader.Execute)
    except RuntimeError as error:
        raise InputError(f"{folder}: the images of series {series.uid} do not fit together; export it again") from error
    if image.GetDimension() != 3 or min(image.GetSize()) < 2:
        raise InputError(f"{folder}: series {series.uid} is a single image, a volume of several slices is needed")
    if image.GetNumberOfComponentsPerPixel() != 1:
        raise InputError(f"{folder}: series {series.uid} has colour images; choose a grey one")
    metadata = {**facts(Path(series.files[0])), "series": series.uid, "dicom_files": list(series.files)}
    return Volume.from_sitk(image, folder.name, metadata)


def facts(path: Path) -> dict[str, Any]:
    """How the image was acquired, from the header of one file: nothing that names a person."""
    header = _header(path) or {}
    found = {name: header.get(tag, "").strip() for name, tag in _TAGS.items()}
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


def _check_positions(folder: Path, series: SeriesInfo) -> None:
    """Slices must lie evenly along the normal, one at each place."""
    headers = [_header(Path(file)) or {} for file in series.files]
    if any(_POSITION not in header or _ORIENTATION not in header for header in headers):
        raise InputError(f"{folder}: images of series {series.uid} tell no position; export it as an MR series")
    rows = np.array([[float(v) for v in h[_ORIENTATION].split("\\")] for h in headers])
    if np.abs(rows - rows[0]).max() > 1e-3:
        raise InputError(f"{folder}: the images of series {series.uid} lie in different planes (a localizer?)")
    normal = np.cross(rows[0, :3], rows[0, 3:])
    places = np.sort([np.dot([float(v) for v in h[_POSITION].split("\\")], normal) for h in headers])
    steps = np.diff(places)
    usual = float(np.median(steps))
    if steps.min() < 0.01:
        raise InputError(
            f"{folder}: series {series.uid} has several images at one place (echoes or phases); "
            "export each phase as a series of its own"
        )
    widest = int(np.argmax(steps))
    if np.abs(steps - usual).max() > max(_TOLERANCE * usual, 0.02):
        missing = max(1, round(steps[widest] / usual) - 1)
        raise InputError(
            f"{folder}: series {series.uid} lacks about {missing} slice(s) between {places[widest]:.1f} mm "
            f"and {places[widest + 1]:.1f} mm; export it again, complete"
        )
