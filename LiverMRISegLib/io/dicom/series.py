"""A DICOM series, or a file of many frames, as a volume: every frame at the place and with the scale of its own."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.errors import InputError, SeveralSeriesError, SeveralVolumesError
from LiverMRISegLib.io.dicom import tags
from LiverMRISegLib.io.dicom.folders import FoundSeries, find_series
from LiverMRISegLib.io.dicom.frame_facts import IMAGE_TYPE, facts_of
from LiverMRISegLib.io.dicom.header import DicomHeader, read_dicom_header
from LiverMRISegLib.io.dicom.pixels import check_pixels
from LiverMRISegLib.io.dicom.positions import Plane, Stack, stacked
from LiverMRISegLib.io.dicom.shared_series import Part, SharedSeries, taken_apart
from LiverMRISegLib.io.dicom.strays import without_strays
from LiverMRISegLib.io.dicom.values import Meaning, read_values
from LiverMRISegLib.io.volume_header import grid
from LiverMRISegLib.volume import Geometry, Volume

logger = logging.getLogger(__name__)
_MOST_NAMED = 10


def read_series(
    folder: Path, uid: str | None = None, frame: int | None = None, meaning: Meaning = Meaning.IMAGE
) -> Volume:
    """One series as a volume; `metadata["dicom_files"]` lists its files in the order of the slices.

    Args:
        folder: with the files.
        uid: of the series, where the folder has several.
        frame: which volume, from 1, where several share the series.
        meaning: what its values are for.

    Raises:
        InputError: no images, several series and no `uid`, several volumes and no `frame`, missing slices, or images
            that do not fit together.
    """
    return _volume(_series(folder, uid), folder.name, frame, meaning)


def read_file(path: Path, frame: int | None = None, meaning: Meaning = Meaning.IMAGE) -> Volume:
    """The volume of one DICOM file with many frames; `metadata["dicom_files"]` is that file. Arguments: `read_series`.

    Raises:
        InputError: it is damaged, a single image or a segmentation, or its frames are not a volume.
    """
    return _volume(_file(path), path.stem, frame, meaning)


def volumes_of(path: Path, uid: str | None = None) -> tuple[Part, ...]:
    """The volumes that share the series of a folder, or a file of many frames; none if it is a single volume.

    Raises:
        InputError: as `read_series` and `read_file`.
    """
    source = _series(path, uid) if path.is_dir() else _file(path)
    return _taken_apart(source, _planes(source.headers)).parts


def image_types_of(path: Path, uid: str | None = None) -> list[str]:
    """The Image Type of every volume of a series or a file, as of `volumes_of`; "" where its images differ in it."""
    source = _series(path, uid) if path.is_dir() else _file(path)
    planes = _planes(source.headers)
    facts = [fact for header in source.headers for fact in facts_of(header)]
    parts = _taken_apart(source, planes).parts or (Part(tuple(range(len(planes)))),)
    types = [{str(facts[frame].get(IMAGE_TYPE, "")) for frame in part.frames} for part in parts]
    return [own.pop() if len(own) == 1 else "" for own in types]


def parts_of_one_volume(folders: Sequence[Path], uid: str) -> bool:
    """Whether the images of a series in several folders are one volume only together; copies are whole alone.

    Raises:
        InputError: a file is damaged.
    """
    headers = [_chosen(folder, find_series(folder), uid).headers for folder in folders]
    together = _without_copies([header for own in headers for header in own])
    if len(together) <= max(len(own) for own in headers):
        return False
    try:
        stacked("", _planes(together))
        _check_one_space("", together)
    except InputError:
        return False
    return True


@dataclass(frozen=True)
class _Source:
    """The files that are read, how messages begin that are about them, and what is known of them already.

    `left_out`: images of the series that are no part of its volume.
    """

    subject: str
    headers: list[DicomHeader]
    metadata: dict[str, Any]
    left_out: Sequence[DicomHeader] = ()


def _series(folder: Path, uid: str | None) -> _Source:
    found = _chosen(folder, find_series(folder), uid)
    headers = _without_copies(found.headers)
    subject = f"{folder}: series {found.info.uid}" if len(headers) > 1 else f"{headers[0].path}:"
    for header in headers:
        check_pixels(header)
    headers, left_out = without_strays(subject, headers)
    return _Source(subject, headers, {"series": found.info.uid}, left_out)


def _file(path: Path) -> _Source:
    header = read_dicom_header(path)
    if header.elements.pixels is not None and not header.is_image:
        raise InputError(f"{path}: is not an image but a result made from one; give the image instead")
    check_pixels(header)
    return _Source(f"{path}:", [header], {})


def _chosen(folder: Path, series: list[FoundSeries], uid: str | None) -> FoundSeries:
    if uid is None and len(series) == 1:
        return series[0]
    listed = "; ".join(str(found.info) for found in series)
    if uid is None:
        raise SeveralSeriesError(
            f"{folder}: has {len(series)} series: {listed}; choose one with --series UID, or all with --series all"
        )
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


def _volume(source: _Source, name: str, frame: int | None, meaning: Meaning) -> Volume:
    headers = source.headers
    planes = _planes(headers)
    if len({(header.rows, header.columns) for header in headers}) > 1:  # files of many frames
        raise InputError(f"{source.subject} has images of different sizes, which do not fit together; export it again")
    shared = _taken_apart(source, planes)
    part = _part(source.subject, shared, frame, len(planes))
    stack = stacked(source.subject, [planes[i] for i in part.frames])
    order = [part.frames[i] for i in stack.order]
    owners = [header for header in headers for _ in range(header.frames)]
    _check_one_space(source.subject, [owners[i] for i in order])
    array, values_notes = read_values(source.subject, headers, order, meaning)
    geometry = _geometry(headers[0].path, array, planes[order[0]], stack)
    files = [header.path for header in owners]
    known = {**headers[0].facts, **source.metadata, "dicom_files": [str(files[i]) for i in order]}
    if len(set(known["dicom_files"])) == 1:  # one file of many frames: those of the slices, by their numbers
        first = files.index(files[order[0]])
        known |= {
            "dicom_files": known["dicom_files"][:1],
            "frame_order": [i - first for i in order],
        }
    notes = [*_said_of_strays(source), *stack.notes, *([shared.note] if shared.note else ()), *values_notes]
    if notes:
        known["notes"] = notes
    return Volume(array, geometry, name, known)


def _said_of_strays(source: _Source) -> list[str]:
    """A note that some images were left out; the log also names their files."""
    count, strays = len(source.headers) + len(source.left_out), source.left_out
    if not strays:
        return []
    names = ", ".join(header.path.name for header in strays[:_MOST_NAMED])
    logger.warning("%s left out: %s%s", source.subject, names, ", ..." if len(strays) > _MOST_NAMED else "")
    if len(strays) == 1:
        return [f"1 of {count} images is in another plane than the others (a localizer?), left out"]
    return [f"{len(strays)} of {count} images are in other planes than the others (a localizer?), left out"]


_ALONE = SharedSeries((), "")


def _taken_apart(source: _Source, planes: list[Plane]) -> SharedSeries:
    """The volumes that share the series; none where the images are a single volume.

    Raises:
        InputError: they are neither one nor several volumes.
    """
    try:
        stacked(source.subject, planes)
    except InputError:
        facts = [fact for header in source.headers for fact in facts_of(header)]
        numbers = [(_number(header), frame) for header in source.headers for frame in range(header.frames)]
        found = taken_apart(planes, facts, numbers)
        if found is None:
            _refuse_mosaics(source.headers)
            raise
        return found
    return _ALONE


def _refuse_mosaics(headers: Sequence[DicomHeader]) -> None:
    """InputError if each file has all slices of a volume side by side, as Siemens stores time series."""
    if headers[0].frames == 1 and "MOSAIC" in headers[0].text(tags.IMAGE_TYPE).upper():
        raise InputError(
            f"{headers[0].path}: is a Siemens mosaic, all slices in one image; convert it (dcm2niix) and give the NIfTI"
        )


def _check_one_space(subject: str, headers: Sequence[DicomHeader]) -> None:
    """InputError if positions are of several frames of reference, so that they say nothing of each other."""
    spaces = {header.text(tags.FRAME_OF_REFERENCE) for header in headers} - {""}
    if 1 < len(spaces) <= len(headers) // 2:
        raise InputError(
            f"{subject} has images of {len(spaces)} frames of reference (several examinations mixed?); separate them"
        )


def _number(header: DicomHeader) -> int:
    text = header.text(tags.INSTANCE_NUMBER)
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,12}", text) else 0


def _part(subject: str, shared: SharedSeries, frame: int | None, planes: int) -> Part:
    """The chosen volume of the series."""
    count = max(1, len(shared.parts))
    if frame is None and count > 1:
        raise SeveralVolumesError(
            f"{subject} has {count} volumes that differ in {shared.difference}; choose one with --frame N "
            f"(1 to {count}), or all with --frame all"
        )
    if frame is not None and not 1 <= frame <= count:
        raise InputError(f"{subject} has no frame {frame}; it has {count}, counted from 1")
    part = shared.parts[(frame or 1) - 1] if shared.parts else Part(tuple(range(planes)))
    if part.missing:
        raise InputError(
            f"{subject} frame {frame} ({part.words}) lacks {part.missing} of {part.missing + len(part.frames)} slices; "
            "export it again, complete, or choose another frame"
        )
    return part


def _planes(headers: list[DicomHeader]) -> list[Plane]:
    """The places of all frames, one file after the other."""
    if len(headers) == 1 and headers[0].frames < 2:
        _refuse_mosaics(headers)
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


def _geometry(path: Path, array: np.ndarray, first: Plane, stack: Stack) -> Geometry:
    size = (array.shape[2], array.shape[1], array.shape[0])
    return grid(path, size, (first.spacing[1], first.spacing[0], stack.step), stack.origin, stack.axes)
