"""A DICOM series, or a file of many frames, as a volume: every frame at the place and with the scale of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.dicom import tags
from LiverMRISegLib.io.dicom.folders import FoundSeries, find_series
from LiverMRISegLib.io.dicom.header import DicomHeader, read_dicom_header
from LiverMRISegLib.io.dicom.pixels import check_pixels, read_frames
from LiverMRISegLib.io.dicom.positions import Plane, Stack, stacked
from LiverMRISegLib.io.memory import check_fits_memory
from LiverMRISegLib.io.volume_header import grid
from LiverMRISegLib.volume import Geometry, Volume


def read_series(folder: Path, uid: str | None = None) -> Volume:
    """One series as a volume; `metadata["dicom_files"]` lists its files in the order of the slices.

    Raises:
        InputError: no images, several series and no `uid`, missing slices, or images that do not fit together.
    """
    found = _chosen(folder, find_series(folder), uid)
    headers = _without_copies(found.headers)
    subject = f"{folder}: series {found.info.uid}" if len(headers) > 1 else f"{headers[0].path}:"
    return _volume(subject, headers, folder.name, {"series": found.info.uid})


def read_file(path: Path) -> Volume:
    """The volume of one DICOM file with many frames; `metadata["dicom_files"]` is that file.

    Raises:
        InputError: it is damaged, a single image or a segmentation, or its frames are no volume.
    """
    header = read_dicom_header(path)
    if header.elements.pixels is not None and not header.is_image:
        raise InputError(f"{path}: is not an image but a result made from one; give the image instead")
    return _volume(f"{path}:", [header], path.stem, {})


def _chosen(folder: Path, series: list[FoundSeries], uid: str | None) -> FoundSeries:
    if uid is None and len(series) == 1:
        return series[0]
    listed = "; ".join(str(found.info) for found in series)
    if uid is None:
        raise InputError(f"{folder}: has {len(series)} series, choose one with --series UID: {listed}")
    for candidate in series:
        if candidate.info.uid == uid:
            return candidate
    raise InputError(f"{folder}: has no series {uid}; it has: {listed}")


def _without_copies(headers: Sequence[DicomHeader]) -> list[DicomHeader]:
    """Without files that are copies: of one SOP Instance UID, place and pixels. Other files of one UID stay."""
    first_of: dict[str, list[DicomHeader]] = {}
    kept = []
    for header in headers:
        same = first_of.setdefault(header.text(tags.SOP_INSTANCE), [])
        if not any(_is_copy(header, other) for other in same):
            same.append(header)
            kept.append(header)
    return kept


def _is_copy(one: DicomHeader, other: DicomHeader) -> bool:
    return one.elements.values == other.elements.values and _digest(one) == _digest(other)


def _digest(header: DicomHeader) -> bytes:
    found = hashlib.sha256()
    place = header.elements.pixels
    with header.elements.open() as file:
        for start, length in place.parts if place is not None else ():
            file.seek(start)
            found.update(file.read(length))
    return found.digest()


def _volume(subject: str, headers: list[DicomHeader], name: str, metadata: dict[str, Any]) -> Volume:
    for header in headers:
        check_pixels(header)
    planes = _planes(headers)
    if len({(header.rows, header.columns) for header in headers}) > 1:
        raise InputError(f"{subject} has images of different sizes, which do not fit together; export it again")
    stack = _stack(subject, headers, planes)
    array = _pixels(headers, stack)
    first = planes[stack.order[0]]
    geometry = _geometry(headers[0].path, array, first, stack)
    files = [header.path for header in headers for _ in range(header.frames)]
    known = {**headers[0].facts, **metadata, "dicom_files": [str(files[i]) for i in stack.order]}
    if len(headers) == 1:
        known |= {"dicom_files": [str(headers[0].path)], "frame_order": stack.order}
    if stack.notes:
        known["notes"] = list(stack.notes)
    return Volume(array, geometry, name, known)


def _planes(headers: list[DicomHeader]) -> list[Plane]:
    """The places of all frames, one file after the other."""
    if len(headers) == 1 and headers[0].frames < 2:
        raise InputError(f"{headers[0].path}: is a single DICOM image; give the folder with all images of the series")
    found: list[Plane] = []
    for header in headers:
        planes = header.planes()
        if len(planes) != header.frames:
            raise InputError(
                f"{header.path}: gives no place for its {header.frames} frames; export them as an MR series"
            )
        found += planes
    return found


def _stack(subject: str, headers: list[DicomHeader], planes: list[Plane]) -> Stack:
    try:
        return stacked(subject, planes)
    except InputError as error:
        if len(headers) > 1 and min(header.frames for header in headers) > 1:
            names = ", ".join(header.path.name for header in headers[:3])
            raise InputError(
                f"{subject} has {len(headers)} files that are volumes of their own (time points or echoes); "
                f"give one of these files: {names}"
            ) from error
        raise


def _pixels(headers: list[DicomHeader], stack: Stack) -> np.ndarray:
    """The values [Z, Y, X], scaled as each frame says: of whole numbers if all scales are such, else float32."""
    scales = [scale for header in headers for scale in header.scales()]
    count = len(scales) * headers[0].rows * headers[0].columns
    is_plain = all(scale == (1.0, 0.0) for scale in scales)
    check_fits_memory(headers[0].path, count * (4 if not is_plain else 1))
    stored = read_frames(headers)
    rank = {frame: place for place, frame in enumerate(stack.order)}
    kind = np.result_type(*stored) if is_plain else _scaled_kind(stored, scales)
    found, number = np.empty((len(scales), *stored[0].shape[1:]), kind), 0
    for frames in stored:
        for frame in frames:
            slope, intercept = scales[number]
            with np.errstate(over="ignore", invalid="ignore"):  # what is too large becomes infinite, and is seen
                plane = frame if is_plain else frame * slope + intercept
                found[rank[number]] = plane
            number += 1
    return found


def _scaled_kind(stored: list[np.ndarray], scales: list[tuple[float, float]]) -> np.dtype:
    is_whole = all(slope.is_integer() and intercept.is_integer() for slope, intercept in scales)
    most = max(max(abs(float(frames.min())), abs(float(frames.max()))) for frames in stored)
    reach = max(abs(slope) * most + abs(intercept) for slope, intercept in scales)
    is_integer = all(frames.dtype.kind in "iu" for frames in stored)
    return np.dtype(np.int32 if is_integer and is_whole and reach < 2**31 else np.float32)


def _geometry(path: Path, array: np.ndarray, first: Plane, stack: Stack) -> Geometry:
    size = (array.shape[2], array.shape[1], array.shape[0])
    return grid(path, size, (first.spacing[1], first.spacing[0], stack.step), stack.origin, stack.axes)
