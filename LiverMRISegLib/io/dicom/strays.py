"""Images that do not belong to the volume of their series: some scanners and archives append a localizer to it.

A few images in another plane are no part of the volume, whatever they are, and are left out aloud. Where more of them,
or others that do not fit, are mixed, only a person can tell which are meant; the message says which files are what.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from LiverMRISegLib.errors import InputError
from LiverMRISegLib.io.dicom.header import DicomHeader
from LiverMRISegLib.io.dicom.positions import Plane, cosine_tolerance, same_spacing

# So many images of the volume for each that is left out; and the cosine of an angle (10 degrees) between planes.
_FOR_EACH, _PARALLEL = 5, 0.985
_MOST_NAMED, _MOST_GROUPS = 3, 6
_PLANES = ("sagittal", "coronal", "axial")


@dataclass
class _Group:
    """Images of one plane, size and pixel spacing."""

    first: Plane
    size: tuple[int, int]
    headers: list[DicomHeader]

    def __str__(self) -> str:
        plane = _PLANES[int(np.abs(self.first.normal).argmax())]
        names = ", ".join(header.path.name for header in self.headers[:_MOST_NAMED])
        more = ", ..." if len(self.headers) > _MOST_NAMED else ""
        columns, rows = self.size
        spacing = " x ".join(f"{length:g}" for length in self.first.spacing[::-1])
        return f"{len(self.headers)} {plane}, {columns} x {rows} pixels of {spacing} mm ({names}{more})"

    def is_of_other_plane(self, other: _Group) -> bool:
        """False also where directions are none."""
        return abs(float(self.first.normal @ other.first.normal)) < _PARALLEL


def without_strays(subject: str, headers: Sequence[DicomHeader]) -> tuple[list[DicomHeader], list[DicomHeader]]:
    """The images of a series that can be of one place or volume, and those that were left out.

    Raises:
        InputError: they do not fit together, and which are meant is not known; the message names files.
    """
    if len(headers) < 2 or any(header.frames != 1 for header in headers):
        return list(headers), []
    planes = [header.planes()[0] for header in headers]
    if any(plane.lack for plane in planes):
        _refuse_some_without_place(subject, headers, planes)
        return list(headers), []
    groups = sorted(_grouped(headers, planes), key=lambda group: -len(group.headers))
    volume, others = groups[0], groups[1:]
    strays = [header for group in others for header in group.headers]
    if all(group.is_of_other_plane(volume) for group in others) and len(volume.headers) >= _FOR_EACH * len(strays):
        return volume.headers, strays
    shown = "; ".join(str(group) for group in groups[:_MOST_GROUPS]) + ("; ..." if len(groups) > _MOST_GROUPS else "")
    raise InputError(
        f"{subject} has images {_difference(groups)}: {shown}; choose another series, or move the images that do not "
        "belong to it into another folder"
    )


def _grouped(headers: Sequence[DicomHeader], planes: Sequence[Plane]) -> list[_Group]:
    groups: list[_Group] = []
    tolerance = cosine_tolerance(planes)
    for header, plane in zip(headers, planes, strict=True):
        size = (header.columns, header.rows)
        for group in groups:
            turn = np.abs(np.array(plane.orientation) - group.first.orientation).max()
            if size == group.size and turn <= tolerance and same_spacing(plane, group.first):
                group.headers.append(header)
                break
        else:
            groups.append(_Group(plane, size, [header]))
    return groups


def _difference(groups: Sequence[_Group]) -> str:
    if any(group.is_of_other_plane(groups[0]) for group in groups[1:]):
        return "in different planes (a localizer?)"
    if len({group.size for group in groups}) > 1:
        return "of different sizes, which do not fit together"
    if not all(same_spacing(group.first, groups[0].first) for group in groups):
        return "of different pixel spacings"
    return "in planes that are not parallel"


def _refuse_some_without_place(subject: str, headers: Sequence[DicomHeader], planes: Sequence[Plane]) -> None:
    """InputError if only some images have no place; where none has one, that is said of all."""
    lost = [header.path.name for header, plane in zip(headers, planes, strict=True) if plane.lack]
    if len(lost) < len(headers):
        lack = next(plane.lack for plane in planes if plane.lack)
        names = ", ".join(lost[:_MOST_NAMED]) + (", ..." if len(lost) > _MOST_NAMED else "")
        raise InputError(
            f"{subject} has {len(lost)} of {len(headers)} images whose header gives no {lack}: "
            f"{names}; export it again, or move them into another folder if they do not belong to it"
        )
