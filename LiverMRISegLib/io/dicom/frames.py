"""DICOM files that hold a whole volume (Enhanced MR): the place of every frame stands in the file itself.

The reader takes frames in the file's order and believes them evenly spaced, so the places are read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.extras import how_to_install
from LiverMRISegLib.io.dicom.positions import Plane, check_planes
from LiverMRISegLib.volume import Geometry, Volume


def arrange_frames(path: Path, frames: np.ndarray, name: str, metadata: dict[str, Any]) -> Volume:
    """The volume of `frames` [frame, Y, X] as they lie in the file `path`, put in the order of their places.

    `metadata["frame_order"]` tells, slice by slice, which frame of the file it was.

    Raises:
        InputError: the frames are no volume, the file does not tell their places, or pydicom is not installed.
    """
    planes = _planes(path)
    if len(planes) != len(frames):
        raise InputError(f"{path}: tells no place for its {len(frames)} frames; export them as an MR series")
    check_planes(f"{path}:", planes)
    places = [float(np.dot(plane.position, plane.normal)) for plane in planes]
    order = np.argsort(places)
    first = planes[int(order[0])]
    columns = np.column_stack([first.orientation[:3], first.orientation[3:], first.normal])
    step = (max(places) - min(places)) / (len(places) - 1)
    geometry = Geometry(
        (frames.shape[2], frames.shape[1], frames.shape[0]),
        (first.spacing[1], first.spacing[0], step),
        (first.position[0], first.position[1], first.position[2]),
        tuple(tuple(float(v) for v in row) for row in columns),  # type: ignore[arg-type]
    )
    return Volume(frames[order], geometry, name, {**metadata, "frame_order": [int(i) for i in order]})


def _planes(path: Path) -> list[Plane]:
    try:
        import pydicom
    except ImportError as error:
        raise InputError(
            f"{path}: is a DICOM file of many frames, which needs pydicom: {how_to_install('dicom', 'pydicom')}"
        ) from error
    dataset = pydicom.dcmread(path, stop_before_pixels=True)
    shared = dataset.get("SharedFunctionalGroupsSequence") or [pydicom.Dataset()]
    groups = dataset.get("PerFrameFunctionalGroupsSequence") or []
    return [
        Plane(
            _numbers(group, shared[0], "PlanePositionSequence", "ImagePositionPatient"),
            _numbers(group, shared[0], "PlaneOrientationSequence", "ImageOrientationPatient"),
            _numbers(group, shared[0], "PixelMeasuresSequence", "PixelSpacing"),
        )
        for group in groups
    ]


def _numbers(own: Any, shared: Any, sequence: str, keyword: str) -> tuple[float, ...]:
    """An attribute of a frame, or the one that all frames share; empty where neither is there."""
    for group in (own, shared):
        items = group.get(sequence)
        if items and items[0].get(keyword):
            return tuple(float(v) for v in items[0][keyword].value)
    return ()
